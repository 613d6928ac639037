/**
 * Real programs at work on a mount, and programs at random: what they did is there when the volume is mounted again, the real fsck has nothing
 * against the volume, and in the end Linux mounts those volumes too, sees the same, and changes them. COWHERD_SOAK=1: far more of each.
 */

import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fuseAvailable } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { loadNative } from '@cowherd/shim'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cProgram, hasCompiler, SOURCES } from '../testing/c-programs.ts'
import { KeptVolumes } from '../testing/kept-volumes.ts'
import { fillSampleTree } from '../testing/sample-tree.ts'
import { isSoak, LIMIT, RW, rowsOf, withoutBlocks, WorkPlace } from '../testing/work-place.ts'

const REPOSITORY = fileURLToPath(new URL('../../../..', import.meta.url))
const TYPESCRIPT = dirname(createRequire(import.meta.url).resolve('typescript/package.json'))

const has = (program: string, words = ['--version']): boolean => spawnSync(program, words).status === 0

const volumes = new KeptVolumes(['tar', 'random', 'names'])
afterAll(() => volumes.close())

let place: WorkPlace
beforeEach(() => {
  place = new WorkPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

describe.skipIf(!fuseAvailable() || !hasCompiler)('programs', () => {
  test.skipIf(!has('git'))('git: a small repository', LIMIT, async () => {
    await place.mountNew(512)
    await place.inside(GIT, { commits: isSoak ? '60' : '6' })
    await volumes.finish(place, 'git')
  })

  test.skipIf(!isSoak || !has('git', ['-C', REPOSITORY, 'rev-parse', 'HEAD']))(
    'git: this repository (soak)',
    LIMIT,
    async () => {
      await place.mountNew(2048)
      await place.inside(
        `git clone -q --no-local "$repository" a; cd a; git checkout -q -b more; git gc -q --prune=now; git fsck --strict --no-progress
      test -z "$(git status --porcelain)"; git archive HEAD | sha256sum > ../one; git -C "$repository" archive HEAD | sha256sum > ../two
      cmp ../one ../two; git clone -q . ../b; rm -r ../a; cd ../b; git repack -q -a -d -f; git fsck --no-progress`,
        { repository: REPOSITORY },
      )
      await volumes.finish(place, 'repository')
    },
  )

  test.skipIf(!has('tar'))('tar and rsync: there and back', LIMIT, async () => {
    const [source, fromTar, fromRsync] = ['source', 'from-tar', 'from-rsync'].map((name) => place.path(name))
    if (source === undefined || fromTar === undefined || fromRsync === undefined) return expect.unreachable()
    for (const folder of [source, fromTar, fromRsync]) mkdirSync(folder)
    fillSampleTree(source, loadNative())
    await place.run('find', [source, '-type', 's', '-delete']) // tar leaves them out
    const wanted = comparable(await shown(source))
    await place.mountNew(512)
    await place.inside(`mkdir tar; tar -C "$o/source" ${TAR} -cf - . | tar -C tar ${TAR} -xf -`)
    expect(comparable(await shown(place.path('m', 'tar')))).toEqual(wanted)
    await place.inside(`tar -C tar ${TAR} -cf - . | tar -C "$o/from-tar" ${TAR} -xf -`)
    expect(comparable(await shown(fromTar))).toEqual(wanted)
    if (has('rsync')) {
      await place.inside('mkdir rsync; rsync -aHAX --sparse "$o/source/" rsync/')
      expect(comparable(await shown(place.path('m', 'rsync')))).toEqual(wanted)
      await place.inside('rsync -aHAX --sparse rsync/ "$o/from-rsync/"')
      expect(comparable(await shown(fromRsync))).toEqual(wanted)
      expect(
        await place.inside('rsync -aHAXi --checksum "$o/source/" rsync/; rsync -aHAXi --checksum rsync/ tar/'),
      ).toBe('')
      await place.inside(
        'rsync -aHAX --delete "$o/from-rsync/deep/" rsync/; rsync -aHAX --inplace --no-whole-file tar/ rsync/',
      )
    }
    expect(Number(await place.inside('sync; stat -c %b tar/sparse'))).toBeLessThan(200)
    await volumes.finish(place, 'tar')
  })

  test.skipIf(!has('npm'))('npm: a small project from packed files', LIMIT, async () => {
    await place.mountNew(512)
    await place.inside(NPM, { typescript: TYPESCRIPT })
    await volumes.finish(place, 'npm')
  })

  test('a compiler', LIMIT, async () => {
    await place.mountNew(256)
    await place.inside(
      `cp "$sources"/*.c .; cc -g -O2 -c random-operations.c; cc -g -O2 -c synced-files.c; cc -g -o operations random-operations.o
      cc -o synced synced-files.o; ar rc both.a *.o; strip -o stripped operations; nm both.a | grep -q ' T main'
      mkdir files models; ./operations files models 1 100 2; cmp files/file-1 models/file-1`,
      { sources: SOURCES },
    )
    await volumes.finish(place, 'compiler')
  })

  test('operations at random, by several processes', LIMIT, async () => {
    await place.mountNew(512)
    const operations = isSoak ? 250_000 : 25_000 // of each of four
    const seed = isSoak ? Date.now() % 1_000_000 : 1
    await place.inside(
      'echo "seed $seed" >&2; mkdir files "$o/models"; "$program" files "$o/models" $seed $operations 4',
      {
        ...{ program: cProgram('random-operations'), seed: `${seed}`, operations: `${operations}` },
      },
    )
    const compared = 'for file in "$o"/models/*; do cmp "$file" "files/${file##*/}"; done'
    await place.inside(compared)
    await place.unmount()
    await place.mount(place.image, RW)
    await place.inside(compared)
    await volumes.finish(place, 'random')
  })

  test('a directory of 20,000 files, and names of 255 bytes', LIMIT, async () => {
    await place.mountNew(512)
    await place.inside(
      `mkdir many; cd many; seq -f file-%.0f 20000 | xargs touch; test $(ls | wc -l) = 20000; test $(ls | sort -u | wc -l) = 20000
      seq -f file-%.0f 3 3 20000 | xargs rm; mkdir ../moved; seq -f file-%.0f 1 3 20000 | xargs mv -t ../moved
      ls -f | grep -c file-; stat -c %n file-2 file-20000; test ! -e file-3`,
    )
    await place.inside(
      `mkdir long; cd long; name=$(head -c 252 /dev/zero | tr '\\0' n)
      for i in $(seq 100 599); do : > "$name$i"; done; ln "$name"100 "$(printf 'ß%.0s' $(seq 127))x"; mv "$name"101 "$(head -c 255 /dev/zero | tr '\\0' '\\377')"
      mkdir "$(head -c 255 /dev/zero | tr '\\0' d)"; if touch "$name"1000 2> /dev/null; then exit 1; fi; test $(ls | wc -l) = 502`,
    )
    await volumes.finish(place, 'names')
  })
})

describe.skipIf(!fuseAvailable())('a program that waits', () => {
  test('is answered at once, also where the kernel knows no file by which the engine could be woken', async () => {
    await place.cowherd(['format', '-q', '--fs_size=64M', place.image])
    await place.mount(place.image, ['-o', 'rw,journal_flush_delay=60000'])
    // otherwise the engine comes by every 60 s: the program would be killed before
    const line =
      'mkdir d; sync d; seq 9 > d/one; sync d/one; rm d/one; sync d; seq 9 > two; seq 9 > one; mv one two; sync .'
    expect(await place.shell(`cd "$m" && ${line}`)).toEqual({ code: 0, out: '', err: '' })
    await place.unmount()
    await place.judge()
  })
})

describe.skipIf(!fuseAvailable() || !hasCompiler || !referee.available())('Linux', () => {
  test('mounts what programs left, sees the same, and changes it; what it changed is seen here', LIMIT, () =>
    volumes.seenByLinux(place),
  )
})

const TAR = "--format=posix --xattrs --xattrs-include='*' --acls --numeric-owner --sparse"

/** Packs two packages of its own and TypeScript, installs them twice, the second time from the cache, and has the project compiled by them. */
const NPM = `
export HOME="$m" npm_config_cache="$m/cache" npm_config_offline=true npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false
mkdir project
for name in one two; do
  mkdir -p packages/$name/lib/deep packages/$name/bin; cd packages/$name
  for i in $(seq 150); do echo "exports.number = $i" > lib/$i.js; echo "$i" > lib/deep/$i.txt; done
  printf '#!/usr/bin/env node\\nconsole.log("%s", require("../lib/7.js").number)\\n' $name > bin/run.js
  echo '{"name":"'$name'","version":"1.0.0","bin":{"'$name'":"bin/run.js"},"scripts":{"postinstall":"node bin/run.js > installed"}}' > package.json
  npm pack -s --pack-destination ../../project; cd ../..
done
cd project; tar -C "$typescript/.." --hard-dereference --exclude=node_modules --transform 's,^typescript,package,' -czf "$m/project/typescript.tgz" typescript
echo '{"name":"project","private":true,"scripts":{"build":"tsc -p .","test":"node out/main.js"},
  "dependencies":{"one":"file:one-1.0.0.tgz","two":"file:two-1.0.0.tgz"},"devDependencies":{"typescript":"file:typescript.tgz"}}' > package.json
echo '{"compilerOptions":{"outDir":"out","rootDir":"src","target":"es2022","module":"commonjs","types":[],"sourceMap":true},"include":["src"]}' > tsconfig.json
mkdir src; for i in $(seq 20); do echo "export const number$i: number = $i" > src/part$i.ts; echo "export * from './part$i'" >> src/all.ts; done
echo "import { number20 } from './all'; import { writeFileSync } from 'fs'; if (number20 === 20) writeFileSync('said', 'right')" > src/main.ts
echo 'declare module "fs" { export function writeFileSync(file: string, text: string): void }' > src/fs.d.ts
npm install -s --package-lock-only; test ! -e node_modules
for round in 1 2; do
  rm -rf out said; npm ci -s; npm run -s build; npm test -s; test "$(cat said)" = right
  test "$(node_modules/.bin/one)$(node_modules/.bin/two)" = 'one 7two 7'; test "$(cat node_modules/*/installed | wc -l)" = 2
  diff -r "$typescript/lib" node_modules/typescript/lib; find node_modules/.bin -type l | grep -c .
done`

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

/** What a directory holds. The blocks are left out: data may not have got any so far. */
async function shown(directory: string): Promise<string[]> {
  return withoutBlocks(await rowsOf(directory))
}

/** Lines of a manifest without what a filesystem decides by itself: the links of directories. */
function comparable(rows: readonly string[]): string[] {
  return rows
    .map((row) => row.split('\t'))
    .map((columns) => (columns[1] === 'd' ? columns.with(5, '') : columns).join('\t'))
}
