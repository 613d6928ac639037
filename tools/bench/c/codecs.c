/*
 * Checksums in C, as a peer: crc32c with the processor's instruction (x86, ARM) or by table, crc64 by table, XXH64.
 *
 *     codecs FUNCTION BYTES MILLISECONDS     prints the nanoseconds that one call over so many bytes takes
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint32_t t32[16][256];
static uint64_t t64[16][256];

static uint64_t load64(const uint8_t *p) {
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}

static void make_tables(void) {
	for (int b = 0; b < 256; b++) {
		uint32_t c = b;
		uint64_t d = (uint64_t)b << 56;
		for (int k = 0; k < 8; k++) {
			c = c & 1 ? (c >> 1) ^ 0x82f63b78 : c >> 1;
			d = d >> 63 ? (d << 1) ^ 0x42f0e1eba9ea3693 : d << 1;
		}
		t32[0][b] = c;
		t64[0][b] = d;
	}
	for (int k = 1; k < 16; k++)
		for (int b = 0; b < 256; b++) {
			t32[k][b] = t32[0][t32[k - 1][b] & 255] ^ (t32[k - 1][b] >> 8);
			t64[k][b] = t64[0][t64[k - 1][b] >> 56] ^ (t64[k - 1][b] << 8);
		}
}

static uint64_t crc32c_table(const uint8_t *p, size_t n) {
	uint32_t c = 0;
	for (size_t i = 0; i < n; i += 16) {
		uint64_t a = load64(p + i) ^ c, b = load64(p + i + 8);
		c = 0;
		for (int k = 0; k < 8; k++)
			c ^= t32[15 - k][a >> 8 * k & 255] ^ t32[7 - k][b >> 8 * k & 255];
	}
	return c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint64_t crc32c(const uint8_t *p, size_t n) {
	uint64_t c = 0;
	for (size_t i = 0; i < n; i += 8)
		c = __builtin_ia32_crc32di(c, load64(p + i));
	return c;
}
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
static uint64_t crc32c(const uint8_t *p, size_t n) {
	uint32_t c = 0;
	for (size_t i = 0; i < n; i += 8)
		c = __crc32cd(c, load64(p + i));
	return c;
}
#else
#define crc32c crc32c_table
#endif

static uint64_t crc64(const uint8_t *p, size_t n) {
	uint64_t c = 0;
	for (size_t i = 0; i < n; i += 16) {
		uint64_t a = load64(p + i) ^ __builtin_bswap64(c), b = load64(p + i + 8);
		c = 0;
		for (int k = 0; k < 8; k++)
			c ^= t64[15 - k][a >> 8 * k & 255] ^ t64[7 - k][b >> 8 * k & 255];
	}
	return c;
}

#define P1 0x9e3779b185ebca87
#define P2 0xc2b2ae3d27d4eb4f
#define P4 0x85ebca77c2b2ae63
#define ROTATE(x, n) ((x) << (n) | (x) >> (64 - (n)))

/* For multiples of 32 bytes; the last mixing is a constant cost. */
static uint64_t xxh64(const uint8_t *p, size_t n) {
	uint64_t v[4] = {P1 + P2, P2, 0, -P1}, h = n;
	for (size_t i = 0; i < n; i += 32)
		for (int k = 0; k < 4; k++) {
			v[k] += load64(p + i + 8 * k) * P2;
			v[k] = ROTATE(v[k], 31) * P1;
		}
	for (int k = 0; k < 4; k++)
		h = (h ^ ROTATE(v[k] * P2, 31) * P1) * P1 + P4;
	return h;
}

static const struct {
	const char *name;
	uint64_t (*run)(const uint8_t *, size_t);
} functions[] = {{"crc32c", crc32c}, {"crc32c-table", crc32c_table}, {"crc64", crc64}, {"xxh64", xxh64}};

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv) {
	if (argc != 4)
		return 2;
	size_t bytes = strtoul(argv[2], 0, 10) / 32 * 32;
	double until = strtod(argv[3], 0) * 1e6;
	uint8_t *data = malloc(bytes);
	for (size_t i = 0; i < bytes; i++)
		data[i] = i * 31 >> 3;
	make_tables();
	for (size_t f = 0; f < sizeof(functions) / sizeof(*functions); f++) {
		if (strcmp(functions[f].name, argv[1]))
			continue;
		volatile uint64_t result = functions[f].run(data, bytes);
		double start = now(), took;
		long calls = 0;
		do {
			for (int k = 0; k < 16; k++, calls++)
				result = functions[f].run(data, bytes);
			took = now() - start;
		} while (took < until);
		(void)result;
		printf("%.3f\n", took / calls);
		return 0;
	}
	return 2;
}
