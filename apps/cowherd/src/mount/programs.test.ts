/**
 * Real programs at work on a mount, and programs at random: what they did is there when the volume is mounted again, the real fsck has nothing
 * against the volume, and in the end Linux mounts those volumes too, sees the same, and changes them. Some are killed in the middle.
 * COWHERD_SOAK=1: far more of each.
 */

import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fuseAvailable } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { loadNative } from '@cowherd/shim'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cProgram, hasCompiler, SOURCES } from '../testing/c-programs.ts'
import { MountPlace, until, type Running } from '../testing/mount-place.ts'
import { fillSampleTree } from '../testing/sample-tree.ts'

const RW = ['-o', 'rw']
const isSoak = process.env['COWHERD_SOAK'] === '1'
const REPOSITORY = fileURLToPath(new URL('../../../..', import.meta.url))

const has = (program: string, words = ['--version']): boolean => spawnSync(program, words).status === 0
/** How long a test may take, and each of its programs. */
const SECONDS_MAX = isSoak ? 3600 : 240
const LIMIT = { timeout: SECONDS_MAX * 1000 }

let place: MountPlace
beforeEach(() => {
  place = new MountPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

/** Volumes that programs have worked on, for Linux to look at in the end, with what they hold. */
const kept = new Map<string, { readonly image: string; readonly rows: string[] }>()
/** Those that Linux looks at in CI. */
const SAMPLE = ['tar', 'random', 'names']
const keptFolder = mkdtempSync(join(tmpdir(), 'cowherd-kept-'))
afterAll(() => rmSync(keptFolder, { recursive: true }))

/** A new volume of so many MiB, mounted for writing. */
async function mountNew(mebibytes: number, words: readonly string[] = []): Promise<number> {
  expect(await place.cowherd(['format', '-q', `--fs_size=${mebibytes}M`, ...words, image()])).toMatchObject({ code: 0 })
  return place.mount(image(), RW)
}

function image(): string {
  return place.path('volume.img')
}

const ENVIRONMENT = {
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.org',
  GIT_COMMITTER_NAME: 'A',
  GIT_COMMITTER_EMAIL: 'a@example.org',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
}

/** Runs a script in the directory of the mount, `$m`; it has to succeed. `$o` is a folder outside. Returns what it prints. */
async function inside(script: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { code, out, err } = await place.shell(`set -e; cd "$m"\n${script}`, {
    env: { ...ENVIRONMENT, ...env, o: place.folder },
    secondsMax: SECONDS_MAX,
  })
  expect(code === 0 ? '' : `${code}: ${out}${err}`).toBe('')
  return out
}

async function unmount(): Promise<void> {
  expect(await place.cowherd(['umount', place.directory])).toEqual({ code: 0, out: '', err: '' })
}

/** The process that serves the mount ends at once. Whoever works there is let know by errors. */
async function kill(server: number, workers: readonly Running[]): Promise<void> {
  process.kill(server, 'SIGKILL')
  await Promise.all(workers.map(({ ended }) => ended))
  expect(await until(() => !place.processes().includes(server))).toBe(true)
  await place.cowherd(['umount', place.directory]) // the dead mount
}

/** The real fsck has nothing against the volume. */
async function judge(): Promise<void> {
  if (!referee.available()) return
  const { code, complaints, stdout, stderr } = await referee.fsck([image()])
  expect(code === 0 && complaints.length === 0 ? '' : stdout + stderr).toBe('')
}

/** What a directory holds, a line each. The blocks are left out where data may not have got any so far. */
async function rows(directory: string, hasBlocks: boolean): Promise<string[]> {
  const lines = (await referee.manifest(directory)).trimEnd().split('\n')
  return hasBlocks ? lines : lines.map((line) => line.slice(0, line.lastIndexOf('\t')))
}

/** Ends the work: the volume is in order, and holds the same when it is mounted again. It is kept for Linux under a name. */
async function finish(name: string): Promise<void> {
  const before = await rows(place.directory, false)
  await unmount()
  await judge()
  await place.mount(image())
  const after = await rows(place.directory, true)
  expect(after.map((line) => line.slice(0, line.lastIndexOf('\t')))).toEqual(before)
  await unmount()
  if (!isSoak && !SAMPLE.includes(name)) return
  const path = join(keptFolder, name)
  renameSync(image(), path)
  kept.set(name, { image: path, rows: after })
}

describe.skipIf(!fuseAvailable() || !hasCompiler)('programs', () => {
  test.skipIf(!has('git'))('git: a small repository', LIMIT, async () => {
    await mountNew(512)
    await inside(GIT, { commits: isSoak ? '60' : '6' })
    await finish('git')
  })

  test.skipIf(!isSoak || !has('git', ['-C', REPOSITORY, 'rev-parse', 'HEAD']))(
    'git: this repository (soak)',
    LIMIT,
    async () => {
      await mountNew(2048)
      await inside(
        `git clone -q --no-local "$repository" a; cd a; git checkout -q -b more; git gc -q --prune=now; git fsck --strict --no-progress
      test -z "$(git status --porcelain)"; git archive HEAD | sha256sum > ../one; git -C "$repository" archive HEAD | sha256sum > ../two
      cmp ../one ../two; git clone -q . ../b; rm -r ../a; cd ../b; git repack -q -a -d -f; git fsck --no-progress`,
        { repository: REPOSITORY },
      )
      await finish('repository')
    },
  )

  test.skipIf(!has('tar'))('tar and rsync: there and back', LIMIT, async () => {
    const [source, fromTar, fromRsync] = ['source', 'from-tar', 'from-rsync'].map((name) => place.path(name))
    if (source === undefined || fromTar === undefined || fromRsync === undefined) return expect.unreachable()
    for (const folder of [source, fromTar, fromRsync]) mkdirSync(folder)
    fillSampleTree(source, loadNative())
    await place.run('find', [source, '-type', 's', '-delete']) // tar leaves them out
    const wanted = comparable(await rows(source, false))
    await mountNew(512)
    await inside(`mkdir tar; tar -C "$o/source" ${TAR} -cf - . | tar -C tar ${TAR} -xf -`)
    expect(comparable(await rows(join(place.directory, 'tar'), false))).toEqual(wanted)
    await inside(`tar -C tar ${TAR} -cf - . | tar -C "$o/from-tar" ${TAR} -xf -`)
    expect(comparable(await rows(fromTar, false))).toEqual(wanted)
    if (has('rsync')) {
      await inside('mkdir rsync; rsync -aHAX --sparse "$o/source/" rsync/')
      expect(comparable(await rows(join(place.directory, 'rsync'), false))).toEqual(wanted)
      await inside('rsync -aHAX --sparse rsync/ "$o/from-rsync/"')
      expect(comparable(await rows(fromRsync, false))).toEqual(wanted)
      expect(await inside('rsync -aHAXi --checksum "$o/source/" rsync/; rsync -aHAXi --checksum rsync/ tar/')).toBe('')
      await inside(
        'rsync -aHAX --delete "$o/from-rsync/deep/" rsync/; rsync -aHAX --inplace --no-whole-file tar/ rsync/',
      )
    }
    expect(Number(await inside('sync; stat -c %b tar/sparse'))).toBeLessThan(200)
    await finish('tar')
  })

  test('a compiler', LIMIT, async () => {
    await mountNew(256)
    await inside(
      `cp "$sources"/*.c .; cc -g -O2 -c random-operations.c; cc -g -O2 -c synced-files.c; cc -g -o operations random-operations.o
      cc -o synced synced-files.o; ar rc both.a *.o; strip -o stripped operations; nm both.a | grep -q ' T main'
      mkdir files models; ./operations files models 1 100 2; cmp files/file-1 models/file-1`,
      { sources: SOURCES },
    )
    await finish('compiler')
  })

  test('operations at random, by several processes', LIMIT, async () => {
    await mountNew(512)
    const operations = isSoak ? 25_000 : 1500
    const seed = isSoak ? Date.now() % 1_000_000 : 1
    await inside('echo "seed $seed" >&2; mkdir files "$o/models"; "$program" files "$o/models" $seed $operations 4', {
      ...{ program: cProgram('random-operations'), seed: `${seed}`, operations: `${operations}` },
    })
    const compared = 'for file in "$o"/models/*; do cmp "$file" "files/${file##*/}"; done'
    await inside(compared)
    await unmount()
    await place.mount(image(), RW)
    await inside(compared)
    await finish('random')
  })

  test('a directory of 20,000 files, and names of 255 bytes', LIMIT, async () => {
    await mountNew(512)
    await inside(
      `mkdir many; cd many; seq -f file-%.0f 20000 | xargs touch; test $(ls | wc -l) = 20000; test $(ls | sort -u | wc -l) = 20000
      seq -f file-%.0f 3 3 20000 | xargs rm; mkdir ../moved; seq -f file-%.0f 1 3 20000 | xargs mv -t ../moved
      ls -f | grep -c file-; stat -c %n file-2 file-20000; test ! -e file-3`,
    )
    await inside(
      `mkdir long; cd long; name=$(head -c 252 /dev/zero | tr '\\0' n)
      for i in $(seq 100 599); do : > "$name$i"; done; ln "$name"100 "$(printf 'ß%.0s' $(seq 127))x"; mv "$name"101 "$(head -c 255 /dev/zero | tr '\\0' '\\377')"
      mkdir "$(head -c 255 /dev/zero | tr '\\0' d)"; if touch "$name"1000 2> /dev/null; then exit 1; fi; test $(ls | wc -l) = 502`,
    )
    await finish('names')
  })
})

describe.skipIf(!fuseAvailable())('a program that waits', () => {
  test('is answered at once, also where the kernel knows no file by which the engine could be woken', async () => {
    await place.cowherd(['format', '-q', '--fs_size=64M', image()])
    await place.mount(image(), ['-o', 'rw,journal_flush_delay=60000'])
    // otherwise the engine comes by every 60 s: the program would be killed before
    const line =
      'mkdir d; sync d; seq 9 > d/one; sync d/one; rm d/one; sync d; seq 9 > two; seq 9 > one; mv one two; sync .'
    expect(await place.shell(`cd "$m" && ${line}`)).toEqual({ code: 0, out: '', err: '' })
    await unmount()
    await judge()
  })
})

describe.skipIf(!fuseAvailable() || !hasCompiler)('programs on a mount that is killed', () => {
  test('what was synced is there', LIMIT, async () => {
    let server = await mountNew(512)
    await inside('mkdir files')
    const used = async (): Promise<number> => Number(await inside('sync; df --output=used -B1 . | tail -n 1'))
    const program = cProgram('synced-files')
    const files = join(place.directory, 'files')
    const log = place.path('log')
    for (let round = 0; round < (isSoak ? 30 : 2); round++) {
      const before = await used()
      const worker = place.start(program, ['write', files, log], { secondsMax: SECONDS_MAX })
      expect(await until(() => lines(log) > 20 + ((round * 37) % 100), 60_000)).toBe(true)
      await kill(server, [worker])
      if (round % 2 === 1) await judge()
      server = await place.mount(image(), RW)
      expect(await place.run(program, ['check', files, log])).toEqual({ code: 0, out: '', err: '' })
      await inside('rm -r files && mkdir files')
      expect((await used()) - before).toBeLessThan(8 << 20) // the removed file that was open is gone
    }
    await inside('seq 1000 > files/last')
    await finish('synced')
  })

  test.skipIf(!has('sqlite3') || !has('stdbuf'))('SQLite: committed transactions are there', LIMIT, async () => {
    let server = await mountNew(512)
    const modes = ['wal', 'delete', 'truncate', 'persist']
    for (let round = 0; round < (isSoak ? 10 : 1); round++) {
      writeFileSync(place.path('input'), transactions(20_000))
      const workers = modes.map((mode) => {
        const line = `cat - "$o/input" | exec stdbuf -oL sqlite3 -bail "$m/${mode}.db"`
        const settings = `PRAGMA journal_mode=${mode};\nPRAGMA synchronous=FULL;\n`
        return place.start('sh', ['-c', line], { input: settings, env: { m: place.directory, o: place.folder } })
      })
      expect(await until(() => workers.every((each) => committed(each) >= 30), 100_000)).toBe(true)
      await kill(server, workers)
      server = await place.mount(image(), RW)
      for (const [i, mode] of modes.entries()) {
        const worker = workers[i]
        const out = await inside('sqlite3 "$db" "PRAGMA integrity_check; SELECT count(*), max(n) FROM log;"', {
          db: `${mode}.db`,
        })
        const [verdict, counts = ''] = out.trimEnd().split('\n')
        const [count, last] = counts.split('|').map(Number)
        expect([mode, verdict, count]).toEqual([mode, 'ok', last])
        expect(last).toBeGreaterThanOrEqual(worker === undefined ? 0 : committed(worker))
      }
      await inside(`for db in *.db; do sqlite3 "$db" 'DELETE FROM log; VACUUM;'; done`)
    }
    await finish('sqlite')
  })
})

describe.skipIf(!fuseAvailable() || !hasCompiler)('a full volume', () => {
  test('says so, keeps what it has, and works again when there is room', LIMIT, async () => {
    await mountNew(64)
    await inside('head -c 3000000 /dev/urandom > precious; sync; sha256sum precious > sum; sync')
    for (let round = 0; round < (isSoak ? 10 : 1); round++) {
      const said = await place.shell(FILL, { secondsMax: SECONDS_MAX })
      expect(said.out).toBe('full\nfull\nfull\n')
      expect(said.err).toContain('No space left on device')
      await inside('sha256sum -c --quiet sum; rm -r data-* small-*')
      await inside(
        'head -c 8000000 /dev/urandom > again; sync again; sha256sum again > sum2; cp again more; sync; cmp again more',
      )
      await unmount()
      await judge()
      await place.mount(image(), RW)
      await inside('sha256sum -c --quiet sum sum2; rm again more')
    }
    await finish('full')
  })
})

describe.skipIf(!fuseAvailable() || !hasCompiler || !referee.available())('Linux', () => {
  test('mounts what programs left, sees the same, and changes it; what it changed is seen here', LIMIT, async () => {
    const names = [...kept.keys()]
    const { jobs } = await referee.vm({
      disks: Object.fromEntries([...kept].map(([name, each]) => [name, each.image])),
      jobs: names.map((name) => ({ name, script: linuxWorks(name), seconds: isSoak ? 900 : 120 })),
    })
    for (const [name, { image, rows: ours }] of kept) {
      const job = jobs[name]
      if (job === undefined) return expect.unreachable()
      expect({ name, code: job.code, output: job.output, log: /error|WARN|BUG/i.exec(job.kernelLog)?.[0] }).toEqual({
        ...{ name, code: 0, output: '', log: undefined },
      })
      expect(linesOf(job.file('before'))).toEqual(ours)
      copyFileSync(image, place.path('volume.img'))
      await judge()
      await place.mount(place.path('volume.img'), RW)
      expect(await rows(place.directory, true)).toEqual(linesOf(job.file('after')))
      await inside('mv linux/copy ours; echo more >> linux/text; rm -r linux')
      await unmount()
      await judge()
    }
  })
})

const TAR = "--format=posix --xattrs --xattrs-include='*' --acls --numeric-owner --sparse"

const GIT = `
git init -q -b main a; cd a
for i in $(seq $commits); do
  mkdir -p d$i; for j in $(seq 30); do seq $((i * j)) > d$i/f$j; done; head -c 100000 /dev/urandom > d$i/random; ln -s f1 d$i/link; chmod +x d$i/f2
  git add .; git commit -q -m "$i"; git tag "v$i"
done
git checkout -q -b side v2; echo side > side; git add .; git commit -q -m side; git checkout -q main; git merge -q -m merge side
git mv d1 e1; git rm -q -r d2; git commit -q -m moved; git stash list; echo x >> e1/f1; git stash -q; git stash pop -q; git checkout -q .
git clone -q . ../b; git clone -q --no-local . ../c; git gc -q --aggressive --prune=now; git fsck --strict --no-progress
cd ../c; git fetch -q; git pull -q --rebase; git rebase -q --root; git gc -q; git fsck --strict --no-progress; test -z "$(git status --porcelain)"
cd ..; rm -r b; git clone -q --bare c bare; git -C bare fsck --strict --no-progress`

/** Fills the volume by three at once, with large writes, small writes and small files, each until it can't go on. */
const FILL = `cd "$m"
  fill_large() { dd if=/dev/urandom of=data-large bs=1M count=200 conv=fsync || echo full; }
  fill_small() { i=0; while dd if=/dev/urandom of=data-$i bs=5000 count=40 conv=fsync; do i=$((i + 1)); test $i -lt 2000 || return; done; echo full; }
  fill_names() { i=0; while mkdir small-$i && seq 300 > small-$i/a && sync small-$i/a; do i=$((i + 1)); test $i -lt 100000 || return; done; echo full; }
  fill_large & fill_small & fill_names & wait`

function linuxWorks(name: string): string {
  return `set -e; mount -t bcachefs /disk/${name} $MNT; manifest $MNT > before; mkdir $MNT/linux; seq 1000 > $MNT/linux/text
    head -c 3000000 /dev/urandom > $MNT/linux/data; cp $MNT/linux/data $MNT/linux/copy; ln $MNT/linux/text $MNT/linux/hard
    sync; umount $MNT; mount -t bcachefs /disk/${name} $MNT; manifest $MNT > after`
}

function transactions(count: number): string {
  const all = [
    'CREATE TABLE IF NOT EXISTS log(n INTEGER PRIMARY KEY); CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, data BLOB, mark TEXT);',
  ]
  all.push('CREATE INDEX IF NOT EXISTS marks ON t(mark);')
  for (let n = 1; n <= count; n++) {
    all.push(
      `BEGIN; INSERT OR REPLACE INTO t VALUES(${n % 500}, randomblob(${(n * 701) % 9000}), hex(randomblob(20)));`,
      `UPDATE t SET data = randomblob(1000), mark = hex(randomblob(9)) WHERE id % 50 = ${n % 50}; INSERT INTO log VALUES(${n}); COMMIT; SELECT ${n};`,
    )
  }
  return all.join('\n')
}

/** The last transaction that was said to be committed. */
function committed(worker: Running): number {
  const numbers = worker
    .said()
    .split('\n')
    .slice(0, -1)
    .filter((line) => /^\d+$/.test(line))
  return Number(numbers.at(-1) ?? 0)
}

function lines(file: string): number {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0
}

/** Lines of a manifest without what a filesystem decides by itself: the links of directories. */
function comparable(rows: readonly string[]): string[] {
  return rows
    .map((row) => row.split('\t'))
    .map((columns) => (columns[1] === 'd' ? columns.with(5, '') : columns).join('\t'))
}

function linesOf(file: Buffer): string[] {
  return file.toString().trimEnd().split('\n')
}
