-- Images of products: files that the shim keeps, and who may add them.

CREATE TABLE product_images (
	vendor_id uuid NOT NULL,
	id uuid NOT NULL DEFAULT rental.uuid7(),
	product_id uuid NOT NULL,
	file text NOT NULL CHECK (file ~ '^[0-9a-f]{64}$'),
	file_type text NOT NULL CHECK (file_type IN ('image/png', 'image/jpeg', 'image/webp')),
	file_size bigint NOT NULL CHECK (file_size > 0),
	file_name text CHECK (file_name <> '' AND length(file_name) <= 200),
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (id, vendor_id),
	FOREIGN KEY (product_id, vendor_id) REFERENCES products (id, vendor_id)
);
CREATE INDEX ON product_images (product_id, id);
COMMENT ON TABLE product_images IS 'Images of products. The files themselves are kept by the shim, under the SHA-256 of their content; several rows may have one file.';
COMMENT ON COLUMN product_images.file IS 'SHA-256 of the content, in hexadecimal';
COMMENT ON COLUMN product_images.file_type IS 'what it is by its first bytes';
COMMENT ON COLUMN product_images.file_size IS 'bytes';
COMMENT ON COLUMN product_images.file_name IS 'as its vendor calls it, or null';

CREATE VIEW image_view AS SELECT id, product_id, file_type, file_size, file_name, created_at FROM product_images;
COMMENT ON VIEW image_view IS 'An image of a product; it is to be had at /api/catalog/images/{id}/original/.';
CREATE TYPE image_page AS (count bigint, next text, previous text, results image_view[]);

CREATE TYPE file_view AS (file text, file_type text, file_name text);
COMMENT ON TYPE file_view IS 'A file that the shim keeps, by its SHA-256; the answer of a download. Only file_name may be null.';

CREATE FUNCTION image_create(product_id uuid, file text, file_size bigint, file_type text, file_name text DEFAULT NULL) RETURNS image_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION image_create(uuid, text, bigint, text, text) IS
	'Adds an image (PNG, JPEG or WebP) to a product. Errors: forbidden, not_found, unsupported_media_type, payload_too_large, missing_field.';
CREATE FUNCTION image_list(product_id uuid, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS image_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION image_list(uuid, integer, text, text) IS 'The images of a product, oldest first. Error: not_found.';
CREATE FUNCTION image_delete(image_id uuid) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION image_delete(uuid) IS 'Takes an image from its product. Errors: forbidden, not_found.';
CREATE FUNCTION image_file(image_id uuid, size text) RETURNS file_view
	LANGUAGE c STRICT STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION image_file(uuid, text) IS
	'The file of an image; its size is original. That of an archived product is shown to its vendor only. Error: not_found.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin, upload_field, download) VALUES
	('GET', '/api/catalog/products/{product_id}/images/', 'rental.image_list', '{public}', 200, 'read', 'catalog', 'Images of a product', true, NULL, false),
	('POST', '/api/catalog/products/{product_id}/images/', 'rental.image_create', '{vendor,admin}', 201, 'write', 'catalog', 'Add an image', true, 'image', false),
	('DELETE', '/api/catalog/images/{image_id}/', 'rental.image_delete', '{vendor,admin}', 204, 'write', 'catalog', 'Take an image away', true, NULL, false),
	('GET', '/api/catalog/images/{image_id}/{size}/', 'rental.image_file', '{public}', 200, 'read', 'catalog', 'An image', true, NULL, true);
