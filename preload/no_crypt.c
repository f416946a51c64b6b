/* SPDX-License-Identifier: MIT
 *
 * no_crypt.c - encrypted swap, left out: libcrypto would be loaded into every program that is run.
 */
#include "store/crypt.h"

int crypt_create(struct crypt **crypt)
{
	(void)crypt;
	return -ENOTSUP;
}

void crypt_destroy(struct crypt *crypt)
{
	(void)crypt;
}

int crypt_page(struct crypt *crypt, bool encrypt, uint64_t number, const void *in, void *out)
{
	(void)crypt, (void)encrypt, (void)number, (void)in, (void)out;
	return -ENOTSUP;
}
