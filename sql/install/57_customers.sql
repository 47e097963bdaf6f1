-- Customers: who ordered, as vendors and administrators see them.

CREATE INDEX orders_customers ON orders (vendor_id, customer_id);

CREATE TYPE customer_spent AS (currency text, amount numeric);
COMMENT ON TYPE customer_spent IS 'What a customer has paid in one currency. Nothing in it is null.';
CREATE TYPE customer_view AS (id uuid, name text, email text, phone text, orders bigint, last_order_at timestamptz, spent customer_spent[]);
COMMENT ON TYPE customer_view IS
	'A customer with what became of its orders: those with the caller''s vendor, or all for administrators. Only phone and last_order_at may be null.';
COMMENT ON COLUMN customer_view.orders IS 'orders placed, whatever became of them';
COMMENT ON COLUMN customer_view.last_order_at IS 'when the last one was placed; null: none yet';
COMMENT ON COLUMN customer_view.spent IS 'what was paid less what was refunded, by currency';
CREATE TYPE customer_page AS (count bigint, next text, previous text, results customer_view[]);

CREATE FUNCTION customer_row(customer_id uuid, vendor_id uuid) RETURNS customer_view
	LANGUAGE sql STABLE SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT ROW(u.id, u.name, u.email, u.phone, coalesce(sum(s.orders), 0)::bigint, max(s.last_order_at),
		coalesce(array_agg(ROW(s.currency, s.amount)::customer_spent ORDER BY s.currency) FILTER (WHERE s.currency IS NOT NULL), '{}'))::customer_view
	FROM users u
	LEFT JOIN (
		SELECT o.currency, count(*) AS orders, max(o.created_at) AS last_order_at, sum(o.paid) AS amount
		FROM orders o WHERE o.customer_id = $1 AND ($2 IS NULL OR o.vendor_id = $2)
		GROUP BY o.currency
	) s ON true
	WHERE u.id = $1
	GROUP BY u.id
$$;
COMMENT ON FUNCTION customer_row(uuid, uuid) IS 'A customer with its orders at one vendor, or at all if that is null.';

CREATE FUNCTION customer_list(search text DEFAULT NULL, vendor_id uuid DEFAULT NULL, page_size integer DEFAULT 20, cursor text DEFAULT NULL,
	count text DEFAULT NULL) RETURNS customer_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION customer_list(text, uuid, integer, text, text) IS
	'A vendor''s team sees those who ordered from it; an administrator everybody who is a customer or has ordered, or those of one vendor_id. In the order of their accounts; search finds text in name and e-mail address without regard to case. Error: forbidden.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/users/customers/', 'rental.customer_list', '{vendor,admin}', 200, 'read', 'users', 'Customers', true);
