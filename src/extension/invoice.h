/*
 * invoice.h
 *	  What other domains need to know of invoices.
 */
#ifndef RENTAL_INVOICE_H
#define RENTAL_INVOICE_H

#include "orders.h"

extern void invoices_settle(const pg_uuid_t *order_id, const pg_uuid_t *vendor_id);

#endif /* RENTAL_INVOICE_H */
