/* chmod(2) and fchmod(2). */
#include "harness.h"

CASE(all_modes, "every mode can be set, on files and on directories, and nothing else changes")
{
	make_file("f");
	make_dir("d");

	struct stat file = stat_of("f"), directory = stat_of("d");
	int fd = OK(open("f", O_RDONLY));

	for (mode_t mode = 0; mode < 07777; mode += 7) {
		OK(chmod("f", mode));
		MODE(S_IFREG | mode, stat_of("f").st_mode);
		OK(fchmod(fd, 07777 - mode));
		MODE(07777 - mode, mode_of("f"));
		OK(fchmodat(AT_FDCWD, "d", mode, 0));
		MODE(S_IFDIR | mode, stat_of("d").st_mode);
	}
	EQ(file.st_ino, inode_of("f"));
	EQ(file.st_uid, stat_of("f").st_uid);
	EQ(file.st_gid, stat_of("f").st_gid);
	EQ(directory.st_nlink, links_of("d"));
}

CASE(only_mode, "bits of the type, or beyond, make no difference")
{
	make_file("f");
	OK(chmod("f", S_IFDIR | 0640));
	MODE(S_IFREG | 0640, stat_of("f").st_mode);
}

CASE(every_type, "what is of any type but a symlink has a mode of its own")
{
	for (int type = 0; type < types_here(); type++) {
		if (type == SYMLINK)
			continue;
		context("%s", type_names[type]);
		make_of_type(type, "x");

		mode_t format = type_of("x");

		OK(chmod("x", 0751));
		MODE(format | 0751, stat_of("x").st_mode);
		OK(type == DIRECTORY ? rmdir("x") : unlink("x"));
	}
}

CASE(descriptor, "fchmod works on what is open for reading only, and on what has no name any more")
{
	make_file("f");
	make_dir("d");

	int fd = OK(open("f", O_RDONLY)), directory = OK(open("d", O_RDONLY));

	OK(fchmod(directory, 0700));
	MODE(0700, mode_of("d"));
	OK(unlink("f"));
	OK(fchmod(fd, 0600));
	MODE(0600, fstat_of(fd).st_mode & 07777);
	FAILS(EBADF, fchmod(1000, 0600));
}

CASE(not_the_owner, "only a file's owner and root may change its mode, whatever the mode lets others do")
{
	need_users();
	make_file_mode("f", 0666);
	OK(chown("f", ALICE.uid, ALICE.gid));
	AS(BOB) {
		FAILS(EPERM, chmod("f", 0600));

		int fd = OK(open("f", O_RDWR));

		FAILS(EPERM, fchmod(fd, 0600));
	}
	AS(CAROL) {
		FAILS(EPERM, chmod("f", 0600));
	}
	MODE(0666, mode_of("f"));
	AS(ALICE) {
		OK(chmod("f", 0000));
		OK(chmod("f", 0640));
	}
	MODE(0640, mode_of("f"));
}

CASE(foreign_group, "setgid isn't set by an owner who isn't in the file's group")
{
	need_users();
	make_file("f");
	make_dir("d");
	OK(chown("f", ALICE.uid, BOB.gid));
	OK(chown("d", ALICE.uid, BOB.gid));
	AS(ALICE) {
		OK(chmod("f", 02755));
		OK(chmod("d", 02755));
	}
	MODE(0755, mode_of("f"));
	MODE(0755, mode_of("d"));
	OK(chown("f", CAROL.uid, ALICE.gid));
	AS(CAROL) {
		OK(chmod("f", 02755));
	}
	MODE(02755, mode_of("f"));
	OK(chown("f", ALICE.uid, BOB.gid));
	OK(chmod("f", 02755));
	MODE(02755, mode_of("f"));
}

CASE(open_files_go_on, "a new mode is for files opened from then on")
{
	AS_ORDINARY {
		int fd = open_new("f");

		OK(chmod("f", 0));
		write_pattern(fd, 0, 5000, 1);
		expect_pattern(fd, 0, 5000, 1);
		FAILS(EACCES, open("f", O_RDONLY));
		OK(chmod("f", 0400));
		close(OK(open("f", O_RDONLY)));
		FAILS(EACCES, open("f", O_WRONLY));
		OK(chmod("f", 0200));
		close(OK(open("f", O_WRONLY)));
		FAILS(EACCES, open("f", O_RDONLY));
	}
}

CASE(seen_by_others, "a process that has used a file before sees its new mode at once")
{
	need_users();
	make_file_mode("f", 0644);
	BESIDE {
		AS(ALICE) {
			close(OK(open("f", O_RDONLY)));
			reach(1);
			await(2);
			FAILS(EACCES, open("f", O_RDONLY));
			MODE(0600, mode_of("f"));
			reach(3);
			await(4);
			close(OK(open("f", O_RDONLY)));
		}
	}
	await(1);
	OK(chmod("f", 0600));
	reach(2);
	await(3);
	OK(chmod("f", 0604));
	reach(4);
}
