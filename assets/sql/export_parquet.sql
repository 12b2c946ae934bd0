-- The rows of a Parquet file, in their order.
--
-- DuckDB declares a column REQUIRED where it happens to know that no value is null, as it does of one
-- file and does not of two. The empty half leaves it in the dark: the same rows give the same bytes.
FROM ({selected})
UNION ALL
SELECT {nulls} FROM range(0)
