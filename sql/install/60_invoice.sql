-- Invoices: what is asked of the customer, with numbers that have no gaps.

CREATE TABLE invoices (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL REFERENCES vendors,
	order_id uuid NOT NULL,
	number text NOT NULL,
	status text NOT NULL CHECK (status IN ('issued')),
	currency text NOT NULL,
	subtotal numeric NOT NULL,
	tax numeric NOT NULL,
	total numeric NOT NULL CHECK (total = subtotal + tax),
	issued_at timestamptz NOT NULL,
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (id, vendor_id),
	UNIQUE (vendor_id, number),
	FOREIGN KEY (order_id, vendor_id) REFERENCES orders (id, vendor_id)
);
CREATE INDEX ON invoices (issued_at);
CREATE UNIQUE INDEX ON invoices (order_id, vendor_id);
COMMENT ON TABLE invoices IS 'Invoices, one an order.';
COMMENT ON COLUMN invoices.number IS 'INV-year-number, without gaps within a vendor and year';

CREATE TABLE invoice_lines (
	vendor_id uuid NOT NULL,
	invoice_id uuid NOT NULL,
	line integer NOT NULL,
	description text NOT NULL,
	quantity integer NOT NULL,
	unit_price numeric NOT NULL,
	total numeric NOT NULL,
	start_at timestamptz NOT NULL,
	end_at timestamptz NOT NULL,
	PRIMARY KEY (invoice_id, line, vendor_id),
	FOREIGN KEY (invoice_id, vendor_id) REFERENCES invoices (id, vendor_id)
);
COMMENT ON TABLE invoice_lines IS 'The lines of an invoice as they were when it was issued.';

CREATE TYPE invoice_line_view AS (line integer, description text, quantity integer, unit_price numeric, total numeric,
	start_at timestamptz, end_at timestamptz);
CREATE VIEW invoice_view AS
SELECT n.id, n.number, n.vendor_id, n.order_id, o.customer_id, n.status, n.currency, n.subtotal, n.tax, n.total, n.issued_at,
	ARRAY(SELECT ROW(l.line, l.description, l.quantity, l.unit_price, l.total, l.start_at, l.end_at)::invoice_line_view
		FROM invoice_lines l WHERE l.invoice_id = n.id ORDER BY l.line) AS lines
FROM invoices n
JOIN orders o ON o.id = n.order_id AND o.vendor_id = n.vendor_id;
COMMENT ON VIEW invoice_view IS 'An invoice with its lines.';
CREATE TYPE invoice_page AS (count bigint, next text, previous text, results invoice_view[]);

CREATE FUNCTION invoice_issue(order_id uuid) RETURNS invoice_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION invoice_issue(uuid) IS
	'Issues the invoice of a confirmed, active or returned order, with the next number of the vendor and year. Errors: not_found, forbidden, invalid_state, already_exists.';
CREATE FUNCTION invoice_get(invoice_id uuid) RETURNS invoice_view
	LANGUAGE c STRICT STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION invoice_get(uuid) IS 'One invoice of the caller. Error: not_found, also when it is somebody else''s.';
CREATE FUNCTION invoice_list(page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS invoice_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION invoice_list(integer, text, text) IS 'The caller''s invoices, newest first.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/orders/invoices/', 'rental.invoice_list', '{user}', 200, 'read', 'invoices', 'Own invoices', true),
	('POST', '/api/orders/invoices/', 'rental.invoice_issue', '{vendor,admin}', 201, 'write', 'invoices', 'Issue an invoice', true),
	('GET', '/api/orders/invoices/{invoice_id}/', 'rental.invoice_get', '{user}', 200, 'read', 'invoices', 'One invoice', true);
