/*
 * request.h
 *	  Strict reading of JSON arguments: every field known, none missing, each of its type.
 */
#ifndef RENTAL_REQUEST_H
#define RENTAL_REQUEST_H

#include "rental.h"

#include "utils/jsonb.h"

/* A list of objects inside a request, such as items */
typedef struct RequestList
{
	const char *name; /* for error messages: items */
	Jsonb	   *json;
	int			count;
} RequestList;

extern RequestList request_list(const char *name, Jsonb *json, int most);

/* One object of a list; fields are named as they are read */
typedef struct RequestObject
{
	const char	   *path; /* for error messages: items[0] */
	JsonbContainer *json;
} RequestObject;

extern RequestObject request_object(const RequestList *list, int index, const char *const *fields);
extern bool			 request_uuid(const RequestObject *object, const char *field, bool required, pg_uuid_t *value);
extern bool			 request_integer(const RequestObject *object, const char *field, bool required, int32 *value);
extern bool			 request_time(const RequestObject *object, const char *field, bool required, TimestampTz *value);
extern int			 request_uuids(const RequestObject *object, const char *field, pg_uuid_t **values);
extern char			*request_string(const RequestObject *object, const char *field, bool required, int most);
extern bool			 request_amount(const RequestObject *object, const char *field, bool required, Datum *value);
extern bool	  request_child(const RequestObject *object, const char *field, bool required, const char *const *fields,
							RequestObject *child);
extern Jsonb *request_json(const char *text);
extern RequestObject request_whole(const char *name, Jsonb *json, const char *const *fields);
extern char			*request_path(const RequestObject *object, const char *field);

/* Text arguments of functions */
extern char			*request_text(NullableDatum value, const char *field, int most);
extern char			*request_required_text(NullableDatum value, const char *field, int most);
extern void			 request_required(NullableDatum value, const char *field);
extern void			 request_country(NullableDatum value, const char *field);
extern void			 request_percent(NullableDatum value, const char *field, int least, int most);
extern void			 request_word(const char *word, const char *field, const char *const *words);
extern char			*request_composed(const char *text);
extern NullableDatum request_pattern(NullableDatum search);

#endif /* RENTAL_REQUEST_H */
