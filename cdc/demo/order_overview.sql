-- What the view order_overview must hold, asked of the shop's own tables.
SELECT
  o.id AS order_id,
  o.customer_id,
  o.status,
  CAST(SUM(l.quantity) AS SIGNED) AS items,
  SUM(l.quantity * l.unit_price) AS total,
  o.carrier,
  o.created_at AS placed_at,
  o.updated_at AS changed_at
FROM orders AS o
JOIN order_lines AS l ON l.order_id = o.id
GROUP BY o.id
ORDER BY o.id
