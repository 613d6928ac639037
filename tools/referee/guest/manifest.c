/*
 * manifest [DIR]: says what a filesystem shows, one line for each object in and below DIR, so that two views of a tree
 * can be compared byte by byte.
 *
 * Columns, separated by tabs: path, type (f d l p s b c), mode in octal, uid, gid, links, size (0 for directories), time
 * of modification in ns, rdev as major:minor, sha256 of a file or target of a link or '-', xattrs as name=hex joined by
 * ',' or '-', blocks of 512 bytes. The root's path is '.'. Bytes outside 33..126, '%' and ',' are written %xx in paths,
 * targets and names. Depth first; names of a directory in bytewise order. Attributes of the bcachefs name spaces are left
 * out: they show options, not what was stored. A file that can't be read has EIO for its hash; the exit status is 1 then.
 *
 * It changes into each directory on its way down: paths may be longer than the system takes. Linked statically, it runs
 * in a guest that has nothing else.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static int trouble;

static void complain(const char *what, const char *path)
{
	fprintf(stderr, "manifest: %s %s: %s\n", what, path, strerror(errno));
	trouble = 1;
}

static void *grown(void *memory, size_t size)
{
	memory = realloc(memory, size);
	if (!memory) {
		fputs("manifest: out of memory\n", stderr);
		exit(2);
	}
	return memory;
}

/* SHA-256 as FIPS 180-4 describes it. */

struct sha256 {
	uint32_t state[8];
	uint64_t length;
	uint8_t block[64];
};

static uint32_t round_constant[64], initial_state[8];

/* The first 32 bits of the fraction of the square root (power 2) or cube root (power 3) of n. */
static uint32_t root_fraction(unsigned n, int power)
{
	unsigned __int128 wanted = (unsigned __int128)n << (32 * power);
	uint64_t low = 0, high = (uint64_t)1 << 40;

	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;
		unsigned __int128 raised = middle;

		for (int i = 1; i < power; i++)
			raised *= middle;
		if (raised <= wanted)
			low = middle;
		else
			high = middle;
	}
	return (uint32_t)low;
}

static void sha256_prepare(void)
{
	unsigned found = 0;

	for (unsigned n = 2; found < 64; n++) {
		unsigned divisor = 2;

		while (divisor * divisor <= n && n % divisor)
			divisor++;
		if (divisor * divisor <= n)
			continue;
		if (found < 8)
			initial_state[found] = root_fraction(n, 2);
		round_constant[found++] = root_fraction(n, 3);
	}
}

static uint32_t rotated(uint32_t word, int bits)
{
	return word >> bits | word << (32 - bits);
}

static void sha256_block(struct sha256 *sum, const uint8_t *p)
{
	uint32_t w[64], a, b, c, d, e, f, g, h;

	for (int i = 0; i < 16; i++, p += 4)
		w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	for (int i = 16; i < 64; i++) {
		uint32_t near = w[i - 2], far = w[i - 15];

		w[i] = w[i - 16] + w[i - 7] + (rotated(far, 7) ^ rotated(far, 18) ^ far >> 3) +
		       (rotated(near, 17) ^ rotated(near, 19) ^ near >> 10);
	}
	a = sum->state[0], b = sum->state[1], c = sum->state[2], d = sum->state[3];
	e = sum->state[4], f = sum->state[5], g = sum->state[6], h = sum->state[7];
	for (int i = 0; i < 64; i++) {
		uint32_t first = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + (g ^ (e & (f ^ g))) +
				 round_constant[i] + w[i];
		uint32_t second = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) | (c & (a | b)));

		h = g, g = f, f = e, e = d + first;
		d = c, c = b, b = a, a = first + second;
	}
	sum->state[0] += a, sum->state[1] += b, sum->state[2] += c, sum->state[3] += d;
	sum->state[4] += e, sum->state[5] += f, sum->state[6] += g, sum->state[7] += h;
}

static void sha256_start(struct sha256 *sum)
{
	memcpy(sum->state, initial_state, sizeof(sum->state));
	sum->length = 0;
}

static void sha256_add(struct sha256 *sum, const uint8_t *data, size_t size)
{
	size_t held = sum->length % 64;

	sum->length += size;
	if (held) {
		size_t taken = size < 64 - held ? size : 64 - held;

		memcpy(sum->block + held, data, taken);
		data += taken, size -= taken;
		if (held + taken < 64)
			return;
		sha256_block(sum, sum->block);
	}
	for (; size >= 64; data += 64, size -= 64)
		sha256_block(sum, data);
	memcpy(sum->block, data, size);
}

static void sha256_print(struct sha256 *sum)
{
	uint8_t tail[72] = { 0x80 };
	uint64_t bits = sum->length * 8;
	size_t padding = (119 - sum->length % 64) % 64 + 1;

	for (int i = 0; i < 8; i++)
		tail[padding + i] = (uint8_t)(bits >> (56 - 8 * i));
	sha256_add(sum, tail, padding + 8);
	for (int i = 0; i < 8; i++)
		printf("%08x", sum->state[i]);
}

/* Columns. */

static void print_encoded(const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 33 || c > 126 || c == '%' || c == ',')
			printf("%%%02x", c);
		else
			putchar(c);
	}
}

static char type_letter(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return 'f';
	case S_IFDIR: return 'd';
	case S_IFLNK: return 'l';
	case S_IFIFO: return 'p';
	case S_IFSOCK: return 's';
	case S_IFBLK: return 'b';
	default: return 'c';
	}
}

static void print_content_hash(const char *name, const char *path)
{
	static uint8_t buffer[1 << 18];
	struct sha256 sum;
	ssize_t count = -1;
	int fd = open(name, O_RDONLY | O_NOFOLLOW);

	sha256_start(&sum);
	if (fd >= 0) {
		while ((count = read(fd, buffer, sizeof(buffer))) > 0)
			sha256_add(&sum, buffer, (size_t)count);
		close(fd);
	}
	if (count < 0) {
		complain("read", path);
		fputs("EIO", stdout);
	} else {
		sha256_print(&sum);
	}
}

static void print_target(const char *name, const char *path)
{
	static char target[1 << 16];
	ssize_t length = readlink(name, target, sizeof(target) - 1);

	if (length < 0) {
		complain("readlink", path);
		fputs("EIO", stdout);
		return;
	}
	target[length] = 0;
	print_encoded(target);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void print_xattrs(const char *name, const char *path)
{
	static char list[1 << 16], value[1 << 16];
	static char *names[1 << 15];
	size_t count = 0;
	ssize_t length = llistxattr(name, list, sizeof(list));

	if (length < 0 && errno != ENOTSUP)
		complain("llistxattr", path);
	for (char *at = list; length > 0 && at < list + length; at += strlen(at) + 1)
		if (strncmp(at, "bcachefs.", 9) && strncmp(at, "bcachefs_", 9))
			names[count++] = at;
	qsort(names, count, sizeof(*names), by_bytes);
	if (!count)
		putchar('-');
	for (size_t i = 0; i < count; i++) {
		ssize_t size = lgetxattr(name, names[i], value, sizeof(value));

		if (size < 0)
			complain(names[i], path);
		if (i)
			putchar(',');
		print_encoded(names[i]);
		putchar('=');
		for (ssize_t j = 0; j < size; j++)
			printf("%02x", (unsigned char)value[j]);
	}
}

static void show_directory(const char *name, char *path, size_t length);

/* Shows `name` of the current directory; `path` (of `length` bytes) is what it is called in the output. */
static void show(const char *name, char *path, size_t length)
{
	struct stat st;
	int is_device;

	if (lstat(name, &st)) {
		complain("lstat", path);
		return;
	}
	is_device = S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode);
	print_encoded(length ? path : ".");
	printf("\t%c\t%o\t%u\t%u\t%ju\t%jd\t%jd\t%u:%u\t", type_letter(st.st_mode), (unsigned)(st.st_mode & 07777),
	       st.st_uid, st.st_gid, (uintmax_t)st.st_nlink, S_ISDIR(st.st_mode) ? (intmax_t)0 : (intmax_t)st.st_size,
	       (intmax_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec, is_device ? major(st.st_rdev) : 0,
	       is_device ? minor(st.st_rdev) : 0);
	if (S_ISREG(st.st_mode))
		print_content_hash(name, path);
	else if (S_ISLNK(st.st_mode))
		print_target(name, path);
	else
		putchar('-');
	putchar('\t');
	print_xattrs(name, path);
	printf("\t%jd\n", (intmax_t)st.st_blocks);
	if (S_ISDIR(st.st_mode))
		show_directory(name, path, length);
}

static void show_directory(const char *name, char *path, size_t length)
{
	DIR *directory = opendir(name);
	struct dirent *entry;
	char **names = NULL;
	size_t count = 0, room = 0;

	if (!directory) {
		complain("opendir", path);
		return;
	}
	while ((errno = 0, entry = readdir(directory))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (count == room)
			names = grown(names, (room = room ? 2 * room : 64) * sizeof(*names));
		names[count] = grown(NULL, strlen(entry->d_name) + 1);
		strcpy(names[count++], entry->d_name);
	}
	if (errno)
		complain("readdir", path);
	qsort(names, count, sizeof(*names), by_bytes);

	int above = open(".", O_RDONLY | O_DIRECTORY);
	if (above < 0 || fchdir(dirfd(directory))) {
		complain("chdir", path);
		count = 0;
	}
	for (size_t i = 0; i < count; i++) {
		size_t name_length = strlen(names[i]), at = length ? length + 1 : 0;
		char *below = grown(NULL, at + name_length + 1);

		memcpy(below, path, length);
		if (length)
			below[length] = '/';
		memcpy(below + at, names[i], name_length + 1);
		show(names[i], below, at + name_length);
		free(below);
		free(names[i]);
	}
	if (above >= 0) {
		if (fchdir(above))
			complain("chdir above", path);
		close(above);
	}
	closedir(directory);
	free(names);
}

int main(int argc, char **argv)
{
	char root[] = "";
	struct rlimit files;

	if (argc > 2) {
		fputs("usage: manifest [DIR]\n", stderr);
		return 2;
	}
	/* Each level of depth holds two directories open. */
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	sha256_prepare();
	if (argc == 2 && chdir(argv[1])) {
		complain("chdir", argv[1]);
		return 2;
	}
	show(".", root, 0);
	if (fflush(stdout) || ferror(stdout)) {
		complain("write", "standard output");
		return 2;
	}
	return trouble;
}
