/*
 * password.c
 *	  What a password must be, and its hash: Argon2id by libargon2.
 *
 * Length and a list of what everybody tries first decide, as NIST SP 800-63B
 * (5.1.1.2) has it; no rule asks for digits or signs. The parameters of the
 * hash are settings and stand in it, so that a log-in can renew an old one.
 */
#include "password.h"

#include <argon2.h>

#include "errors.h"
#include "mb/pg_wchar.h"
#include "catalog/pg_collation.h"
#include "request.h"
#include "secret.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/guc.h"

#define SALT_BYTES	   16
#define HASH_BYTES	   32
#define ENCODED_MOST   200
#define PASSWORD_LEAST 8
#define PASSWORD_MOST  128

static int argon2_memory;
static int argon2_passes;
static int argon2_lanes;

static const char *const common_passwords[] = {
#include "common_passwords.def"
};

void
password_settings(void)
{
	DefineCustomIntVariable("rental.argon2_memory", "Memory of a password hash.", NULL, &argon2_memory, 19456, 8,
							1024 * 1024, PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("rental.argon2_passes", "Passes of a password hash over its memory.", NULL, &argon2_passes,
							2, 1, 100, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rental.argon2_lanes", "Lanes of a password hash.", NULL, &argon2_lanes, 1, 1, 16,
							PGC_SUSET, 0, NULL, NULL, NULL);
}

/* password_text is a password as it was given, in its composed form. One that is far too long is not worth a hash. */
char *
password_text(NullableDatum value, const char *field)
{
	char *password;

	request_required(value, field);
	password = request_composed(TextDatumGetCString(value.value));
	return strlen(password) > PASSWORD_MOST * MAX_MULTIBYTE_CHAR_LEN ? pstrdup("") : password;
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp((const char *) a, *(const char *const *) b);
}

/* password_new is a password that somebody chooses. */
char *
password_new(NullableDatum value, const char *field)
{
	char *password = password_text(value, field);
	int	  length = pg_mbstrlen(password);
	char *lower;

	if (length < PASSWORD_LEAST || length > PASSWORD_MOST)
		rental_raise(invalid_value, errmsg("a password has %d to %d characters", PASSWORD_LEAST, PASSWORD_MOST),
					 errfield(field));
	lower = str_tolower(password, strlen(password), DEFAULT_COLLATION_OID);
	if (bsearch(lower, common_passwords, lengthof(common_passwords), sizeof(common_passwords[0]), compare_texts))
		rental_raise(invalid_value, errmsg("this password is one of the most common ones"), errfield(field));
	return password;
}

char *
password_hash(const char *password)
{
	unsigned char salt[SALT_BYTES];
	char		 *encoded = palloc(ENCODED_MOST);
	int			  rc;

	secret_fill(salt, SALT_BYTES);
	rc = argon2id_hash_encoded(argon2_passes, Max(argon2_memory, 8 * argon2_lanes), argon2_lanes, password,
							   strlen(password), salt, SALT_BYTES, HASH_BYTES, encoded, ENCODED_MOST);
	if (rc != ARGON2_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not hash a password: %s", argon2_error_message(rc))));
	return encoded;
}

/*
 * password_matches costs the same whether or not there is a hash to compare
 * with, so that nobody can find out by the time it takes who has an account.
 */
bool
password_matches(const char *password, const char *hash)
{
	if (hash == NULL || strcmp(hash, "!") == 0)
	{
		password_hash(password);
		return false;
	}
	return argon2id_verify(hash, password, strlen(password)) == ARGON2_OK;
}

/* password_is_outdated tells whether a hash was made with other parameters than those set now. */
bool
password_is_outdated(const char *hash)
{
	char *present = psprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", ARGON2_VERSION_NUMBER,
							 Max(argon2_memory, 8 * argon2_lanes), argon2_passes, argon2_lanes);

	return strncmp(hash, present, strlen(present)) != 0;
}
