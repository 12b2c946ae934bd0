-- One page of the issues that a query selects.
SELECT {columns}
FROM issues
WHERE {where}
ORDER BY {order}
LIMIT {limit} OFFSET {offset}
