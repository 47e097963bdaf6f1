/*
 * chunk.h
 *	  The rows of rental.timelines: free stock over time, cut into stretches.
 */
#ifndef RENTAL_CHUNK_H
#define RENTAL_CHUNK_H

#include "timeline.h"

/* What one timeline stands for: a vendor's product at a location */
typedef struct StockKey
{
	pg_uuid_t vendor_id;
	pg_uuid_t product_id;
	pg_uuid_t location_id;
} StockKey;

/* A change of what is free: delta over a period */
typedef struct StockShift
{
	Period period;
	int32  delta;
} StockShift;

/* A stretch of a timeline as it was read or has just become */
typedef struct StockPiece
{
	Period		 period;
	TimestampTz	 holds_until;
	TimelineView free;
} StockPiece;

/* Returns false to stop reading */
typedef bool (*PieceReader)(const StockPiece *piece, void *arg);

/* Called with a changed piece in which free stock fell to below zero somewhere */
typedef void (*PieceJudge)(const StockPiece *before, const StockPiece *after, void *arg);

/* Called with a product at a location of which a window may have too little free */
typedef void (*TightReader)(const pg_uuid_t *product_id, const pg_uuid_t *location_id, const StockPiece *piece,
							void *arg);

/* The timelines, open for reading */
typedef struct ChunkReader ChunkReader;

extern ChunkReader *chunk_reader_open(void);
extern void			chunk_reader_close(ChunkReader *reader);
extern bool			chunk_read(ChunkReader *chunks, const pg_uuid_t *product_id, const pg_uuid_t *location_id,
							   const Period *window, PieceReader look, void *arg);
extern int			chunk_locations(ChunkReader *chunks, const pg_uuid_t *product_id, int most, pg_uuid_t **locations);
extern void			chunk_lock_head(const StockKey *key);
extern void			chunk_require(const StockKey *key);
extern void			chunk_prepare(const StockKey *key, const Period *period);
extern void chunk_shift(const StockKey *key, const StockShift *shifts, int nshifts, int nbefore, TimestampTz hold_until,
						PieceJudge judge, void *arg);
extern void chunk_set_capacity(const StockKey *key, const Timeline *capacity, PieceJudge judge, void *arg);
extern void chunk_tight(const Period *window, int32 quantity, TightReader reader, void *arg);

/* chunk_level is the level of a row whose least value this is. */
static inline int16
chunk_level(int32 least)
{
	if (least < 2)
		return Max(least, -1);
	return least < 4 ? 2 : least < 8 ? 3 : 4;
}

#endif /* RENTAL_CHUNK_H */
