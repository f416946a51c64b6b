/* SPDX-License-Identifier: MIT
 *
 * crypt.c - pages of swap, enciphered by libcrypto, which is loaded when the first area wants it.
 *
 * To link it would cost every program that has a pool some 150 page faults at its start, wanted or not: milliseconds,
 * more than all else that a small tool does.
 */
#include "store/crypt.h"

#ifdef WEIR_HAVE_CRYPTO

#include <dlfcn.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/lock.h"

#define KEY_BYTES 64 /* two keys of 256 bits */

#define STRING2(x) #x
#define STRING(x) STRING2(x)
#ifdef OPENSSL_SHLIB_VERSION
#define LIBCRYPTO "libcrypto.so." STRING(OPENSSL_SHLIB_VERSION)
#else
#define LIBCRYPTO "libcrypto.so." SHLIB_VERSION_NUMBER
#endif

/* What is used of it: name by name, with the types that its headers give. */
#define FUNCTIONS(F) \
	F(EVP_CIPHER_CTX_new) \
	F(EVP_CIPHER_CTX_free) \
	F(EVP_CipherInit_ex) \
	F(EVP_CipherUpdate) \
	F(EVP_aes_256_xts)

static struct {
#define F(name) __typeof__(name) *name;
	FUNCTIONS(F)
#undef F
	bool there;
} lib;
static pthread_once_t load_once = PTHREAD_ONCE_INIT;

/* It stays: that it is closed again is its own affair at exit. */
static void load(void)
{
	void *handle = dlopen(LIBCRYPTO, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	lib.there = handle != NULL;
#define F(name) lib.there = lib.there && (lib.name = (__typeof__(name) *)dlsym(handle, #name));
	FUNCTIONS(F)
#undef F
}

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
	direction->context = lib.EVP_CIPHER_CTX_new();
	if (!direction->context)
		return -ENOMEM;
	if (lib.EVP_CipherInit_ex(direction->context, lib.EVP_aes_256_xts(), NULL, key, NULL, encipher) != 1)
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
	int error;

	pthread_once(&load_once, load);
	error = lib.there ? random_key(key) : -ENOTSUP;
	if (error)
		return error;
	crypt = mmap(NULL, sizeof(*crypt), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (crypt == MAP_FAILED) {
		explicit_bzero(key, sizeof(key));
		return -ENOMEM;
	}
	error = direction_init(&crypt->encipher, key, true);
	if (!error)
		error = direction_init(&crypt->decipher, key, false);
	explicit_bzero(key, sizeof(key));
	if (error)
		crypt_destroy(crypt);
	else
		*result = crypt;
	return error;
}

void crypt_destroy(struct crypt *crypt)
{
	lib.EVP_CIPHER_CTX_free(crypt->encipher.context); /* wipes its key */
	lib.EVP_CIPHER_CTX_free(crypt->decipher.context);
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
	good = lib.EVP_CipherInit_ex(direction->context, NULL, NULL, NULL, tweak, -1) == 1 &&
	       lib.EVP_CipherUpdate(direction->context, to, &bytes, from, (int)PAGE_SIZE) == 1 &&
	       bytes == (int)PAGE_SIZE;
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
