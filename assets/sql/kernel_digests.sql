-- The first fingerprint of each identity, in the order of `identities` (identity).
SELECT left(sha256(identity), 32) AS digest
FROM identities
