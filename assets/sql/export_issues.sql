-- The issues of an export: all that a query selects.
SELECT {columns}
FROM issues
WHERE {where}
{order}
