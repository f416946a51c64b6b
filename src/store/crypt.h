/* SPDX-License-Identifier: MIT
 *
 * crypt.h - pages enciphered under a key that nobody knows but this process, for swap files.
 *
 * AES-256-XTS (IEEE 1619), the mode of disk encryption: a page becomes as many bytes, and the same content is another
 * cipher text in another place, by its number. The key is random, made with the crypt and wiped with it. All that
 * enciphering needs is allocated by crypt_create; crypt_page does not touch the heap.
 */
#ifndef WEIR_CRYPT_H
#define WEIR_CRYPT_H

#include "base/base.h"

struct crypt;

/* Errors: -ENOTSUP (built without libcrypto), -ENOMEM, -EIO (no random numbers). Allocates: yes. */
int crypt_create(struct crypt **crypt);
void crypt_destroy(struct crypt *crypt);

/* One page, number `number`; from and to may be the same. 0 or -EIO. Blocks: for other pages in the same direction.
 * Allocates: no. */
int crypt_page(struct crypt *crypt, bool encipher, uint64_t number, const void *from, void *to);

#endif
