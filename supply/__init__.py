"""What issuelake is made of: whether its packages' licences are ones that we take, and whether any of
their versions is known to be vulnerable. The bill of materials itself is made by `docs.sbom`."""
