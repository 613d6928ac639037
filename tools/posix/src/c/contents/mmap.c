/* mmap(2): mappings of files, coherent with read and write. */
#include "harness.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define PAGE 4096

static char *map_at(int fd, off_t offset, size_t size, int protection, int flags)
{
	char *map = mmap(NULL, size, protection, flags, fd, offset);

	CHECK(map != MAP_FAILED);
	return map;
}

static char *map_shared(int fd, size_t size)
{
	return map_at(fd, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED);
}

/* mmap as a call that returns -1. */
static int try_map(int fd, off_t offset, size_t size, int protection, int flags)
{
	return mmap(NULL, size, protection, flags, fd, offset) == MAP_FAILED ? -1 : 0;
}

#define EXPECT_PATTERN_IN(map, offset, size, seed)                     \
	do {                                                           \
		char *wanted_ = malloc(size);                          \
		fill_pattern(wanted_, offset, size, seed);             \
		BYTES(wanted_, (map) + (offset), size);                \
		free(wanted_);                                         \
	} while (0)

/* Touches a byte in a process of its own, and says which signal came of it, 0 for none. */
static int signal_of_touching(volatile char *at)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		(void)*at;
		_exit(0);
	}
	OK(waitpid(pid, &status, 0));
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

CASE(sees_writes, "a shared mapping shows what is written, and a read what the mapping was given")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 100000, 1);

	char *map = map_shared(fd, 100000);

	EXPECT_PATTERN_IN(map, 0, 100000, 1);
	write_pattern(fd, 5000, 10000, 2);
	EXPECT_PATTERN_IN(map, 5000, 10000, 2);
	fill_pattern(map + 50000, 50000, 10000, 3);
	expect_pattern(fd, 50000, 10000, 3);
	expect_pattern(fd, 15000, 35000, 1);
	write_pattern(fd, 52000, 100, 4);
	EXPECT_PATTERN_IN(map, 52000, 100, 4);
	EXPECT_PATTERN_IN(map, 52100, 1000, 3);
}

CASE(reaches_the_file, "what a mapping was given is in the file after msync, after munmap, and for who opens it later")
{
	int fd = open_new("f");

	OK(ftruncate(fd, 100000));

	char *map = map_shared(fd, 100000);

	fill_pattern(map, 0, 50000, 1);
	OK(msync(map, 100000, MS_SYNC));
	fill_pattern(map + 50000, 50000, 50000, 1);
	OK(munmap(map, 100000));
	close(fd);
	fd = OK(open("f", O_RDONLY));
	drop_pages(fd);
	expect_pattern(fd, 0, 100000, 1);
	EQ(100000, size_of("f"));
}

CASE(private, "a private mapping keeps its changes to itself")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 3 * PAGE, 1);

	char *map = map_at(fd, 0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	map[PAGE] = 'x';
	expect_pattern(fd, 0, 3 * PAGE, 1);
	OK(msync(map, 3 * PAGE, MS_SYNC));
	drop_pages(fd);
	expect_pattern(fd, 0, 3 * PAGE, 1);
	EQ('x', map[PAGE]);
	write_pattern(fd, PAGE, PAGE, 2);
	EQ('x', map[PAGE]);
	EXPECT_PATTERN_IN(map, 0, PAGE, 1);
}

CASE(protection, "a mapping may do what the file was opened for; a private one needs reading only")
{
	write_text("f", "contents");

	int reading = OK(open("f", O_RDONLY)), writing = OK(open("f", O_WRONLY));

	FAILS(EACCES, try_map(reading, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED));
	FAILS(EACCES, try_map(writing, 0, PAGE, PROT_READ, MAP_SHARED));
	FAILS(EACCES, try_map(writing, 0, PAGE, PROT_WRITE, MAP_SHARED));
	OK(try_map(reading, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE));

	char *map = map_at(reading, 0, PAGE, PROT_READ, MAP_SHARED);

	FAILS(EACCES, mprotect(map, PAGE, PROT_READ | PROT_WRITE));
}

CASE(refusals, "directories, empty ranges and odd offsets can't be mapped")
{
	int fd = open_new("f"), directory = OK(open(".", O_RDONLY));

	FAILS_EITHER(ENODEV, EACCES, try_map(directory, 0, PAGE, PROT_READ, MAP_SHARED));
	FAILS(EINVAL, try_map(fd, 0, 0, PROT_READ, MAP_SHARED));
	FAILS(EINVAL, try_map(fd, 100, PAGE, PROT_READ, MAP_SHARED));
	FAILS(EBADF, try_map(1000, 0, PAGE, PROT_READ, MAP_SHARED));
}

CASE(beyond_the_end, "the last page goes on with zeros, behind it is SIGBUS")
{
	int fd = open_new("f");

	write_pattern(fd, 0, PAGE + 100, 1);

	char *map = map_shared(fd, 4 * PAGE);

	EXPECT_PATTERN_IN(map, 0, PAGE + 100, 1);
	ZEROS(map + PAGE + 100, PAGE - 100);
	EQ(0, signal_of_touching(map + 2 * PAGE - 1));
	EQ(SIGBUS, signal_of_touching(map + 2 * PAGE));
	EQ(SIGBUS, signal_of_touching(map + 4 * PAGE - 1));
}

CASE(tail_isnt_kept, "what a mapping is given behind the end of the file doesn't get into it, when it grows later")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 100, 1);

	char *map = map_shared(fd, PAGE);

	memset(map + 100, 'x', PAGE - 100);
	OK(msync(map, PAGE, MS_SYNC));
	EQ(100, size_of("f"));
	OK(ftruncate(fd, 2 * PAGE));
	expect_pattern(fd, 0, 100, 1);
	expect_zeros(fd, 100, 2 * PAGE - 100);
	drop_pages(fd);
	expect_zeros(fd, 100, 2 * PAGE - 100);
}

CASE(follows_the_size, "a mapping follows when the file is cut and lengthened, and shows zeros then")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 4 * PAGE, 1);

	char *map = map_shared(fd, 4 * PAGE);

	EXPECT_PATTERN_IN(map, 0, 4 * PAGE, 1);
	OK(ftruncate(fd, PAGE + 10));
	EXPECT_PATTERN_IN(map, 0, PAGE + 10, 1);
	ZEROS(map + PAGE + 10, PAGE - 10);
	EQ(SIGBUS, signal_of_touching(map + 2 * PAGE));
	OK(ftruncate(fd, 4 * PAGE));
	ZEROS(map + PAGE + 10, 3 * PAGE - 10);
	map[3 * PAGE] = 'x';
	OK(pread(fd, (char[1]){0}, 1, 3 * PAGE));
	write_pattern(fd, 2 * PAGE, 2 * PAGE, 2);
	EXPECT_PATTERN_IN(map, 2 * PAGE, 2 * PAGE, 2);
}

CASE(holes, "a hole reads as zeros, and takes what is written to it through a mapping")
{
	int fd = open_new("f");

	OK(ftruncate(fd, MIB));

	char *map = map_shared(fd, MIB);

	ZEROS(map, MIB);
	fill_pattern(map + 500000, 500000, 10000, 1);
	expect_zeros(fd, 0, 500000);
	expect_pattern(fd, 500000, 10000, 1);
	OK(msync(map, MIB, MS_SYNC));
	drop_pages(fd);
	expect_zeros(fd, 0, 500000);
	expect_pattern(fd, 500000, 10000, 1);
	expect_zeros(fd, 510000, MIB - 510000);
}

CASE(holes_stay, "looking at a hole through a mapping doesn't fill it")
{
	int fd = open_new("f");

	OK(ftruncate(fd, MIB));
	ZEROS(map_shared(fd, MIB), MIB);
	OK(fsync(fd));
	EQ(0, stat_of("f").st_blocks);
}

CASE(punched, "a hole that is punched shows in a mapping")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 8 * PAGE, 1);

	char *map = map_shared(fd, 8 * PAGE);

	EXPECT_PATTERN_IN(map, 0, 8 * PAGE, 1);
	OPTIONAL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE + 100, 4 * PAGE));
	EXPECT_PATTERN_IN(map, 0, PAGE + 100, 1);
	ZEROS(map + PAGE + 100, 4 * PAGE);
	EXPECT_PATTERN_IN(map, 5 * PAGE + 100, 3 * PAGE - 100, 1);
}

CASE(copied_to, "what copy_file_range puts into a file shows in a mapping, and what a mapping has is copied")
{
	int from = open_new("f"), to = open_new("g");
	loff_t in = 0, out = 0;

	OK(ftruncate(from, 4 * PAGE));
	OK(ftruncate(to, 4 * PAGE));

	char *source = map_shared(from, 4 * PAGE), *target = map_shared(to, 4 * PAGE);

	ZEROS(target, 4 * PAGE);
	fill_pattern(source, 0, 4 * PAGE, 1);
	while (in < 4 * PAGE)
		CHECK(OPTIONAL(copy_file_range(from, &in, to, &out, 4 * PAGE - in, 0)) > 0);
	EXPECT_PATTERN_IN(target, 0, 4 * PAGE, 1);
}

CASE(between_processes, "two processes that map a file see each other's changes")
{
	int fd = open_new("f");

	OK(ftruncate(fd, 2 * PAGE));
	BESIDE {
		int own = OK(open("f", O_RDWR));
		char *map = map_shared(own, 2 * PAGE);

		await(1);
		EXPECT_PATTERN_IN(map, 0, PAGE, 1);
		fill_pattern(map + PAGE, PAGE, PAGE, 2);
		reach(2);
	}

	char *map = map_shared(fd, 2 * PAGE);

	fill_pattern(map, 0, PAGE, 1);
	reach(1);
	await(2);
	EXPECT_PATTERN_IN(map, PAGE, PAGE, 2);
	JOIN();
	EXPECT_PATTERN_IN(map, PAGE, PAGE, 2);
	expect_pattern(fd, PAGE, PAGE, 2);
}

CASE(two_mappings, "two mappings of a file's parts, that overlap, are one memory")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 8 * PAGE, 1);

	char *whole = map_shared(fd, 8 * PAGE), *part = map_at(fd, 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);

	fill_pattern(part, 4 * PAGE, PAGE, 2);
	EXPECT_PATTERN_IN(whole, 4 * PAGE, PAGE, 2);
	fill_pattern(whole + 6 * PAGE, 6 * PAGE, PAGE, 3);
	EXPECT_PATTERN_IN(part - 4 * PAGE, 6 * PAGE, PAGE, 3);
}

CASE(without_descriptor, "a mapping outlives its descriptor, and follows the file under another name")
{
	int fd = open_new("f");

	OK(ftruncate(fd, PAGE));

	char *map = map_shared(fd, PAGE);

	close(fd);
	OK(rename("f", "g"));
	fill_pattern(map, 0, PAGE, 1);
	fd = OK(open("g", O_RDONLY));
	expect_pattern(fd, 0, PAGE, 1);
	OK(munmap(map, PAGE));
	drop_pages(fd);
	expect_pattern(fd, 0, PAGE, 1);
}

CASE(own_memory, "a file can be read into its own mapping, and written from it, not present pages too")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 16 * PAGE, 1);
	drop_pages(fd);

	char *map = map_shared(fd, 16 * PAGE), wanted[2 * PAGE];

	EQ(2 * PAGE, OK(pwrite(fd, map, 2 * PAGE, 8 * PAGE)));
	EQ(2 * PAGE, OK(pread(fd, map + 4 * PAGE, 2 * PAGE, 0)));
	EQ(PAGE, OK(pwrite(fd, map + 12 * PAGE, PAGE, 12 * PAGE)));
	fill_pattern(wanted, 0, 2 * PAGE, 1);
	BYTES(wanted, map + 8 * PAGE, 2 * PAGE);
	BYTES(wanted, map + 4 * PAGE, 2 * PAGE);
	expect_pattern(fd, 12 * PAGE, PAGE, 1);
}

CASE(grown, "a mapping can be made larger when the file has grown")
{
	int fd = open_new("f");

	write_pattern(fd, 0, PAGE, 1);

	char *map = map_shared(fd, PAGE);

	write_pattern(fd, PAGE, 15 * PAGE, 1);

	char *larger = mremap(map, PAGE, 16 * PAGE, MREMAP_MAYMOVE);

	CHECK(larger != MAP_FAILED);
	EXPECT_PATTERN_IN(larger, 0, 16 * PAGE, 1);
}

CASE(page_by_page, "a hundred pages written through a mapping in any order, some twice, are all in the file")
{
	uint32_t state = 1;
	int fd = open_new("f"), version[100] = {0};

	OK(ftruncate(fd, 100 * PAGE));

	char *map = map_shared(fd, 100 * PAGE);

	for (int i = 1; i <= 300; i++) {
		int page = random_below(&state, 100);

		fill_pattern(map + page * PAGE, page * PAGE, PAGE, i);
		version[page] = i;
		if (i % 50 == 0)
			OK(msync(map, 100 * PAGE, i % 100 ? MS_ASYNC : MS_SYNC));
	}
	OK(munmap(map, 100 * PAGE));
	drop_pages(fd);
	for (int page = 0; page < 100; page++) {
		if (version[page])
			expect_pattern(fd, page * PAGE, PAGE, version[page]);
		else
			expect_zeros(fd, page * PAGE, PAGE);
	}
}

CASE(msync, "msync of what isn't mapped is ENOMEM, with odd flags or addresses EINVAL")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 2 * PAGE, 1);

	char *map = map_shared(fd, 2 * PAGE);

	OK(msync(map, 2 * PAGE, MS_SYNC));
	OK(msync(map, PAGE, MS_ASYNC));
	OK(msync(map, PAGE, MS_SYNC | MS_INVALIDATE));
	FAILS(EINVAL, msync(map + 1, PAGE, MS_SYNC));
	FAILS(EINVAL, msync(map, PAGE, MS_SYNC | MS_ASYNC));
	OK(munmap(map, 2 * PAGE));
	FAILS(ENOMEM, msync(map, PAGE, MS_SYNC));
}
