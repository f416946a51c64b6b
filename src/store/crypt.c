/* SPDX-License-Identifier: MIT */
#include "store/crypt.h"

#ifdef WEIR_HAVE_CRYPTO

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/lock.h"

#define KEY_BYTES 64 /* two keys of 256 bits */

struct direction {
	struct lock lock;
	EVP_CIPHER_CTX *context; /* lock */
};

struct crypt {
	struct direction decipher, encipher;
};

static int direction_init(struct direction *direction, const unsigned char *key, bool encipher)
{
	lock_init(&direction->lock, NULL);
	direction->context = EVP_CIPHER_CTX_new();
	if (!direction->context)
		return -ENOMEM;
	if (EVP_CipherInit_ex(direction->context, EVP_aes_256_xts(), NULL, key, NULL, encipher) != 1)
		return -ENOTSUP;
	return 0;
}

static int random_key(unsigned char *key)
{
	for (size_t done = 0; done < KEY_BYTES;) {
		ssize_t got = getrandom(key + done, KEY_BYTES - done, 0);

		if (got > 0)
			done += (size_t)got;
		else if (errno != EINTR)
			return -EIO;
	}
	return 0;
}

int crypt_create(struct crypt **result)
{
	unsigned char key[KEY_BYTES];
	struct crypt *crypt;
	int error = random_key(key);

	if (error)
		return error;
	crypt = mmap(NULL, sizeof(*crypt), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (crypt == MAP_FAILED) {
		OPENSSL_cleanse(key, sizeof(key));
		return -ENOMEM;
	}
	error = direction_init(&crypt->encipher, key, true);
	if (!error)
		error = direction_init(&crypt->decipher, key, false);
	OPENSSL_cleanse(key, sizeof(key));
	if (error)
		crypt_destroy(crypt);
	else
		*result = crypt;
	return error;
}

void crypt_destroy(struct crypt *crypt)
{
	EVP_CIPHER_CTX_free(crypt->encipher.context); /* wipes its key */
	EVP_CIPHER_CTX_free(crypt->decipher.context);
	munmap(crypt, sizeof(*crypt));
}

int crypt_page(struct crypt *crypt, bool encipher, uint64_t number, const void *from, void *to)
{
	struct direction *direction = encipher ? &crypt->encipher : &crypt->decipher;
	unsigned char tweak[16] = {0};
	int bytes = 0;
	bool good;

	memcpy(tweak, &number, sizeof(number));
	lock_acquire(&direction->lock);
	good = EVP_CipherInit_ex(direction->context, NULL, NULL, NULL, tweak, -1) == 1 &&
	       EVP_CipherUpdate(direction->context, to, &bytes, from, (int)PAGE_SIZE) == 1 && bytes == (int)PAGE_SIZE;
	lock_release(&direction->lock);
	return good ? 0 : -EIO;
}

#else

int crypt_create(struct crypt **crypt)
{
	(void)crypt;
	return -ENOTSUP;
}

void crypt_destroy(struct crypt *crypt)
{
	(void)crypt;
}

int crypt_page(struct crypt *crypt, bool encipher, uint64_t number, const void *from, void *to)
{
	(void)crypt, (void)encipher, (void)number, (void)from, (void)to;
	return -EIO;
}

#endif
