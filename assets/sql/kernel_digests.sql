-- The first fingerprint of each identity, in the order of `identities` (identity).
SELECT md5(identity) AS digest
FROM identities
