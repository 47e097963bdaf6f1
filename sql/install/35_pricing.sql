-- Pricing: what a rental costs, and why.

CREATE TYPE price_line AS (description text, days integer, amount numeric);
COMMENT ON TYPE price_line IS 'A part of the price of one piece; the parts sum to unit_price.';
CREATE TYPE price_view AS (product_id uuid, currency text, start_at timestamptz, end_at timestamptz, days integer, quantity integer,
	unit_price numeric, total numeric, lines price_line[]);
COMMENT ON TYPE price_view IS 'The price of a rental: days are those begun, of 24 hours on the vendor''s clock; total = unit_price * quantity.';

CREATE FUNCTION product_price(product_id uuid, start_at timestamptz, end_at timestamptz, quantity integer DEFAULT 1) RETURNS price_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION product_price(uuid, timestamptz, timestamptz, integer) IS
	'What a rental of a product would cost. Errors: not_found, invalid_period, invalid_value (no rate, or quantity below 1).';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/catalog/products/{product_id}/price/', 'rental.product_price', '{public}', 200, 'read', 'catalog', 'Price of a period', true);
