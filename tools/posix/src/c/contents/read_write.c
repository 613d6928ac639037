/* read(2), write(2) and their kin: what was written is read, at any offset and in any size. */
#include "harness.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

CASE(sizes, "files of sizes around block and page boundaries come back to the byte, after a flush too")
{
	static const long sizes[] = {
		0, 1, 7, 511, 512, 513, 4095, 4096, 4097, 8191, 8192, 12289, 65535, 65536, 65537,
		131071, 131072, 131073, MIB - 1, MIB, MIB + 1,
	};
	char name[16];

	for (int i = 0; i < ARRAY_LENGTH(sizes); i++) {
		context("%ld bytes", sizes[i]);
		snprintf(name, sizeof name, "%ld", sizes[i]);

		int fd = open_new(name);

		write_pattern(fd, 0, sizes[i], i);
		EQ(sizes[i], size_of(name));
		expect_pattern(fd, 0, sizes[i], i);
		drop_pages(fd);
		expect_pattern(fd, 0, sizes[i], i);
		EQ(0, OK(pread(fd, (char[1]){0}, 1, sizes[i])));
		close(fd);
	}
}

CASE(overwrite, "writing into a file's middle leaves what is around it")
{
	static const struct {
		long offset, size;
	} parts[] = {{0, 1}, {4095, 2}, {4096, 4096}, {10000, 1}, {20000, 33333}, {65535, 1}, {99999, 1}, {12288, 512}};

	for (int i = 0; i < ARRAY_LENGTH(parts); i++) {
		long start = parts[i].offset, end = start + parts[i].size;

		context("%ld bytes at %ld", parts[i].size, start);

		int fd = open_new("f");

		write_pattern(fd, 0, 100000, 1);
		if (i & 1)
			drop_pages(fd);
		write_pattern(fd, start, parts[i].size, 2);
		drop_pages(fd);
		expect_pattern(fd, 0, start, 1);
		expect_pattern(fd, start, parts[i].size, 2);
		expect_pattern(fd, end, 100000 - end, 1);
		EQ(100000, size_of("f"));
		close(fd);
		OK(unlink("f"));
	}
}

CASE(offset_moves, "read and write move the offset by what they did; pread and pwrite don't move it")
{
	char text[4] = "";
	int fd = open_new("f");

	EQ(6, OK(write(fd, "abcdef", 6)));
	EQ(6, OK(lseek(fd, 0, SEEK_CUR)));
	EQ(2, OK(pwrite(fd, "XY", 2, 1)));
	EQ(3, OK(pread(fd, text, 3, 0)));
	SAME("aXY", text);
	EQ(6, OK(lseek(fd, 0, SEEK_CUR)));
	EQ(2, OK(lseek(fd, 2, SEEK_SET)));
	EQ(3, OK(read(fd, text, 3)));
	SAME("Yde", text);
	EQ(5, OK(lseek(fd, 0, SEEK_CUR)));
	EQ(1, OK(read(fd, text, 3)));
	EQ(0, OK(read(fd, text, 3)));
	EQ(6, OK(lseek(fd, 0, SEEK_CUR)));
}

CASE(lseek, "lseek goes anywhere from 0 on, beyond the end too, and doesn't change the file")
{
	int fd = open_new("f");

	OK(write(fd, "abcdef", 6));
	EQ(4, OK(lseek(fd, -2, SEEK_END)));
	EQ(106, OK(lseek(fd, 100, SEEK_END)));
	EQ(0, OK(read(fd, (char[1]){0}, 1)));
	EQ(6, size_of("f"));
	FAILS(EINVAL, lseek(fd, -1, SEEK_SET));
	FAILS(EINVAL, lseek(fd, -7, SEEK_END));
	FAILS(EINVAL, lseek(fd, 0, 99));
	EQ(106, OK(lseek(fd, 0, SEEK_CUR)));
	OK(write(fd, "x", 1));
	EQ(107, size_of("f"));
	expect_zeros(fd, 6, 100);
}

CASE(end_of_file, "reading stops at the end of the file, and gives 0 bytes there and beyond")
{
	char bytes[100];
	int fd = open_new("f");

	write_pattern(fd, 0, 5000, 1);
	EQ(10, OK(pread(fd, bytes, 100, 4990)));
	EQ(0, OK(pread(fd, bytes, 100, 5000)));
	EQ(0, OK(pread(fd, bytes, 100, 1000000)));
	EQ(0, OK(pread(fd, bytes, 100, TIB)));
	EQ(0, OK(pread(fd, bytes, 0, 0)));
	FAILS(EINVAL, pread(fd, bytes, 1, -1));
	FAILS(EINVAL, pwrite(fd, bytes, 1, -1));
}

CASE(nothing, "writing no bytes changes nothing, not even the size when the offset is beyond it")
{
	int fd = open_new("f");

	OK(write(fd, "abc", 3));

	struct watch file = watch("f");

	EQ(0, OK(write(fd, "", 0)));
	EQ(0, OK(pwrite(fd, "", 0, 1000)));
	EQ(3, size_of("f"));
	SAME("", changed(&file));
}

CASE(sparse, "what was never written reads as zeros, and takes no space")
{
	int fd = open_new("f");

	write_pattern(fd, 3 * MIB + 7, 100, 1);
	drop_pages(fd);
	EQ(3 * MIB + 107, size_of("f"));
	CHECK(stat_of("f").st_blocks * 512 < MIB);
	expect_zeros(fd, 0, 3 * MIB + 7);
	expect_pattern(fd, 3 * MIB + 7, 100, 1);
	write_pattern(fd, MIB, 5000, 2);
	expect_zeros(fd, 0, MIB);
	expect_pattern(fd, MIB, 5000, 2);
	expect_zeros(fd, MIB + 5000, 2 * MIB - 5000 + 7);
}

CASE(far_away, "a file may begin a terabyte from its start")
{
	int fd = open_new("f");

	write_pattern(fd, TIB + 12345, 10000, 1);
	drop_pages(fd);
	EQ(TIB + 22345, size_of("f"));
	expect_pattern(fd, TIB + 12345, 10000, 1);
	expect_zeros(fd, TIB, 12345);
	expect_zeros(fd, 4 * GIB - 100, 200);
	write_pattern(fd, 4 * GIB - 100, 200, 2);
	write_pattern(fd, 2 * GIB - 100, 200, 3);
	drop_pages(fd);
	expect_pattern(fd, 4 * GIB - 100, 200, 2);
	expect_pattern(fd, 2 * GIB - 100, 200, 3);
	expect_zeros(fd, 4 * GIB + 100, 1000);
	CHECK(stat_of("f").st_blocks * 512 < MIB);
}

CASE(beyond_any_file, "what no file can hold is EFBIG or EINVAL")
{
	int fd = open_new("f");

	FAILS_EITHER(EFBIG, EINVAL, pwrite(fd, "x", 1, INT64_MAX));
	EQ(0, size_of("f"));
}

CASE(backwards, "a file written from its end to its start, block by block, is whole")
{
	int fd = open_new("f");

	for (long offset = MIB - 4096; offset >= 0; offset -= 4096)
		write_pattern(fd, offset, 4096, 1);
	drop_pages(fd);
	expect_pattern(fd, 0, MIB, 1);
}

CASE(small_pieces, "a file written in pieces of 100 bytes is whole")
{
	int fd = open_new("f");

	for (long offset = 0; offset < 200000; offset += 100)
		write_pattern(fd, offset, 100, 1);
	drop_pages(fd);
	expect_pattern(fd, 0, 200000, 1);
}

CASE(large, "32 MiB, written and read in large calls, come back after a flush")
{
	const long size = 8 * MIB;
	char *bytes = malloc(size), *seen = malloc(size);
	int fd = open_new("f");

	for (int part = 0; part < 4; part++) {
		fill_pattern(bytes, part * size, size, 1);
		EQ(size, OK(write(fd, bytes, size)));
	}
	drop_pages(fd);
	EQ(4 * size, size_of("f"));
	OK(lseek(fd, 0, SEEK_SET));
	for (int part = 0; part < 4; part++) {
		EQ(size, OK(read(fd, seen, size)));
		fill_pattern(bytes, part * size, size, 1);
		BYTES(bytes, seen, size);
	}
	EQ(0, OK(read(fd, seen, size)));
}

CASE(vectors, "readv and writev gather and scatter, empty parts too")
{
	char first[3] = "", second[5] = "", third[10] = "";
	struct iovec out[] = {{"ab", 2}, {"", 0}, {"cdef", 4}, {"g", 1}};
	struct iovec in[] = {{first, 2}, {third, 0}, {second, 4}, {third, 9}};
	int fd = open_new("f");

	EQ(7, OK(writev(fd, out, 4)));
	EQ(7, OK(pwritev(fd, out, 4, 7)));
	EQ(14, size_of("f"));
	EQ(14, OK(preadv(fd, in, 4, 0)));
	SAME("ab", first);
	SAME("cdef", second);
	SAME("gabcdefg", third);
	EQ(7, OK(lseek(fd, 0, SEEK_CUR)));
	EQ(0, OK(writev(fd, out, 0)));
}

CASE(many_vectors, "a thousand small parts are written and read in one call")
{
	static char bytes[1024][37];
	struct iovec parts[1024];
	int fd = open_new("f");

	for (int i = 0; i < 1024; i++) {
		fill_pattern(bytes[i], 37 * i, 37, 1);
		parts[i] = (struct iovec){bytes[i], 37};
	}
	EQ(37 * 1024, OK(writev(fd, parts, 1024)));
	drop_pages(fd);
	expect_pattern(fd, 0, 37 * 1024, 1);
	memset(bytes, 0, sizeof bytes);
	EQ(37 * 1024, OK(preadv(fd, parts, 1024, 0)));
	for (int i = 0; i < 1024; i++) {
		char wanted[37];

		fill_pattern(wanted, 37 * i, 37, 1);
		BYTES(wanted, bytes[i], 37);
	}
}

CASE(bad_memory, "memory that isn't there is EFAULT, and the file stays as it was")
{
	write_text("f", "contents");

	int fd = OK(open("f", O_RDWR));
	void *volatile nowhere = (void *)8; /* volatile, so that the compiler doesn't mind */

	FAILS(EFAULT, pwrite(fd, nowhere, 4, 0));
	FAILS(EFAULT, pread(fd, nowhere, 4, 0));
	SAME("contents", text_of("f"));
}

CASE(directory, "a directory can't be read as a file")
{
	char byte;

	make_dir("d");

	int fd = OK(open("d", O_RDONLY));

	FAILS(EISDIR, read(fd, &byte, 1));
	FAILS(EISDIR, pread(fd, &byte, 1, 0));
	FAILS(EBADF, write(fd, "x", 1));
}

CASE(size_limit, "a process's limit for sizes is EFBIG and SIGXFSZ; up to it a write is short")
{
	struct rlimit limit = {10000, RLIM_INFINITY};
	static char bytes[20000];
	int fd = open_new("f");

	signal(SIGXFSZ, SIG_IGN);
	OK(setrlimit(RLIMIT_FSIZE, &limit));
	EQ(10000, OK(pwrite(fd, bytes, 20000, 0)));
	EQ(10000, size_of("f"));
	FAILS(EFBIG, pwrite(fd, bytes, 1, 10000));
	FAILS(EFBIG, ftruncate(fd, 10001));
	OK(ftruncate(fd, 10000));
	EQ(1, OK(pwrite(fd, bytes, 1, 9999)));
	EQ(10000, size_of("f"));
}

CASE(direct, "O_DIRECT reads and writes whole blocks, and agrees with what goes through the page cache")
{
	char *bytes = aligned_alloc(4096, 64 * KIB), wanted[4096];
	int buffered = open_new("f"), fd = OPTIONAL_OR(EINVAL, open("f", O_RDWR | O_DIRECT));

	fill_pattern(bytes, 0, 64 * KIB, 1);
	EQ(64 * KIB, OK(pwrite(fd, bytes, 64 * KIB, 0)));
	EQ(64 * KIB, OK(pwrite(fd, bytes, 64 * KIB, 64 * KIB)));
	EQ(128 * KIB, size_of("f"));
	expect_pattern(buffered, 0, 64 * KIB, 1);
	write_pattern(buffered, 4096, 4096, 2);
	fill_pattern(wanted, 4096, 4096, 2);
	EQ(8192, OK(pread(fd, bytes, 8192, 0)));
	BYTES(wanted, bytes + 4096, 4096);
	fill_pattern(bytes, 8192, 4096, 3);
	EQ(4096, OK(pwrite(fd, bytes, 4096, 8192)));
	expect_pattern(buffered, 8192, 4096, 3);
	expect_pattern(buffered, 4096, 4096, 2);
}

CASE(direct_at_the_end, "O_DIRECT reads up to a file's end, wherever in a block that is, and extends files")
{
	char *bytes = aligned_alloc(4096, 16 * KIB), wanted[5000];
	int buffered = open_new("f"), fd = OPTIONAL_OR(EINVAL, open("f", O_RDWR | O_DIRECT));

	write_pattern(buffered, 0, 5000, 1);
	fill_pattern(wanted, 0, 5000, 1);
	EQ(5000, OK(pread(fd, bytes, 16 * KIB, 0)));
	BYTES(wanted, bytes, 5000);
	EQ(0, OK(pread(fd, bytes, 4096, 8192)));
	fill_pattern(bytes, 16384, 4096, 2);
	EQ(4096, OK(pwrite(fd, bytes, 4096, 16384)));
	EQ(20480, size_of("f"));
	expect_zeros(buffered, 5000, 16384 - 5000);
	expect_pattern(buffered, 16384, 4096, 2);
}

CASE(sendfile, "sendfile and splice take a file's bytes without their passing by")
{
	int from = open_new("f"), to = open_new("g"), pipes[2];
	off_t offset = 1000;

	write_pattern(from, 0, 200000, 1);
	for (long done = 0; done < 100000;) {
		long sent = OK(sendfile(to, from, &offset, 100000 - done));

		CHECK(sent > 0);
		done += sent;
	}
	EQ(101000, offset);
	EQ(100000, size_of("g"));
	for (long at = 0; at < 100000; at += 50000) {
		char wanted[50000], seen[50000];

		fill_pattern(wanted, 1000 + at, sizeof wanted, 1);
		EQ(50000, OK(pread(to, seen, sizeof seen, at)));
		BYTES(wanted, seen, sizeof wanted);
	}
	OK(pipe(pipes));
	offset = 4096;
	EQ(8192, OK(splice(from, &offset, pipes[1], NULL, 8192, 0)));
	offset = 4096;
	for (long done = 0; done < 8192;) {
		long sent = OK(splice(pipes[0], NULL, to, &offset, 8192 - done, 0));

		CHECK(sent > 0);
		done += sent;
	}
	expect_pattern(to, 4096, 8192, 1);
}

CASE(small_files, "a thousand small files each have their own contents")
{
	char name[16];

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "%d", i);

		int fd = open_new(name);

		write_pattern(fd, 0, i, i);
		close(fd);
	}
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "%d", i);

		int fd = OK(open(name, O_RDONLY));

		EQ(i, fstat_of(fd).st_size);
		expect_pattern(fd, 0, i, i);
		close(fd);
	}
}

CASE(seen_by_others, "what one process has written the next read of another sees")
{
	int fd = open_new("f");

	BESIDE {
		int reader = OK(open("f", O_RDONLY));

		for (int round = 0; round < 50; round++) {
			await(2 * round + 1);
			EQ(100 * (round + 1), fstat_of(reader).st_size);
			expect_pattern(reader, 100 * round, 100, round);
			reach(2 * round + 2);
		}
	}
	for (int round = 0; round < 50; round++) {
		write_pattern(fd, 100 * round, 100, round);
		reach(2 * round + 1);
		await(2 * round + 2);
	}
}
