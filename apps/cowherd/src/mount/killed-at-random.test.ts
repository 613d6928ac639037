/**
 * The process that serves a mount is killed at random moments while programs bring changes of every kind to stable storage, and while it recovers
 * from that. What the programs were told is there, what they were about to do is there in part or not at all, in order; and the real fsck
 * has nothing against the volume. COWHERD_SOAK=1: again and again, from a new seed; COWHERD_SEED makes it the same again, as far as time does.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fuseAvailable } from '@cowherd/fixtures'
import { Random } from '@cowherd/fuzz'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cProgram, hasCompiler } from '../testing/c-programs.ts'
import { until } from '../testing/mount-place.ts'
import { isSoak, LIMIT, RW, SECONDS_MAX, WorkPlace } from '../testing/work-place.ts'

interface Shape {
  readonly images: readonly string[]
  /** For the command `format`. */
  readonly words: readonly string[]
}

const SHAPES: Readonly<Record<string, Shape>> = {
  'one device': { images: ['volume.img'], words: [] },
  'two devices, two copies': { images: ['a.img', 'b.img'], words: ['--replicas=2'] },
}
const SEED = Number(process.env['COWHERD_SEED'] ?? (isSoak ? Date.now() % 2 ** 31 : 1))
const KILLS = isSoak ? 100 : 2
const KILLS_OF_GIT = isSoak ? 100 : 1
const WORKERS = 3
/** A busy machine is no failure. */
const PATIENT = { secondsMax: SECONDS_MAX }
const WAIT_MS_MAX = 120_000
/** Programs work at least so many rounds, and then for so long at most. */
const ROUNDS_LEAST = 5
const WORK_MS_MAX = 600
/** Somewhere in this time a mount has recovered its volume. */
const START_MS_MAX = 1200

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0

let place: WorkPlace
beforeEach(() => {
  place = new WorkPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

/** Begins to mount a volume, and is killed at it, or shortly after. */
async function killWhileMounted(volume: string, random: Random): Promise<void> {
  const words = [place.program, 'mount', '-f', ...RW, '--', volume, place.directory]
  const server = place.start(process.execPath, words)
  await sleep(random.below(START_MS_MAX))
  await place.kill(server.pid, [server])
}

describe.skipIf(!fuseAvailable() || !hasCompiler)('a mount that is killed at random', () => {
  test.each(Object.keys(SHAPES))('keeps what was synced in every way: %s', LIMIT, async (name) => {
    const random = new Random(SEED)
    const images = SHAPES[name].images.map((image) => place.path(image))
    const volume = images.join(':')
    const made = await place.cowherd(['format', '-q', '--fs_size=128M', ...SHAPES[name].words, ...images])
    expect(made).toMatchObject({ code: 0 })
    const program = cProgram('synced-rounds')
    let server = await place.mount(volume, RW, PATIENT)
    for (let kill = 0; kill < KILLS; kill++) {
      const log = place.path(`log-${kill}`)
      await place.inside(`mkdir work-${kill}`)
      const words = (what: string): string[] => [what, `${place.directory}/work-${kill}`, log, `${WORKERS}`]
      const worker = place.start(program, words('write'), { secondsMax: SECONDS_MAX })
      const isAtWork = (): boolean => Array.from({ length: WORKERS }, (_, i) => lines(`${log}-${i}`)).every(isEnough)
      expect(await until(isAtWork, WAIT_MS_MAX), `seed ${SEED}, kill ${kill}: ${worker.said()}`).toBe(true)
      await sleep(random.below(WORK_MS_MAX))
      await place.kill(server, [worker])
      expect(await worker.ended).toEqual({ code: 0, out: '', err: '' })
      // With two devices the newest entry may be on one of them so far, which fsck mends: docs/format/writing.md.
      if (kill % 2 === 1 && images.length === 1) await place.judge(images)
      if (kill % 2 === 1) await killWhileMounted(volume, random)
      server = await place.mount(volume, RW, PATIENT)
      expect(await place.run(program, words('check')), `seed ${SEED}, kill ${kill}`).toEqual({
        code: 0,
        out: '',
        err: '',
      })
      if (kill % 3 === 2) await place.inside('rm -r work-*')
    }
    await place.unmount()
    await place.judge(images)
  })

  test.skipIf(!has('git'))('git: commits are there, and the repository is sound', LIMIT, async () => {
    const random = new Random(SEED)
    await place.format(512)
    let server = await place.mount(place.image, RW, PATIENT)
    const log = place.path('commits')
    for (let kill = 0; kill < KILLS_OF_GIT; kill++) {
      const before = lines(log)
      const worker = place.start('sh', ['-c', COMMITS], {
        ...{ env: { ...QUIET, m: place.directory, o: place.folder }, secondsMax: SECONDS_MAX },
      })
      const isAtWork = (): boolean => lines(log) >= before + ROUNDS_LEAST
      expect(await until(isAtWork, WAIT_MS_MAX), `seed ${SEED}, kill ${kill}: ${worker.said()}`).toBe(true)
      await sleep(random.below(WORK_MS_MAX))
      await place.kill(server, [worker])
      if (kill % 2 === 0) await place.judge()
      server = await place.mount(place.image, RW, PATIENT)
      const commit = readFileSync(log, 'utf8').trimEnd().split('\n').at(-1) ?? ''
      await place.inside(SOUND, { commit })
    }
    await place.unmount()
    await place.judge()
  })
})

const QUIET = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' }

/** Commits until something fails. Each is told of when a file was synced behind it, as git syncs no directories. */
const COMMITS = `exec 2> /dev/null
cd "$m" || exit 0
test -d repository || git init -q -b main repository
cd repository || exit 0
git config core.fsync all; git config core.fsyncMethod fsync; git config user.name A; git config user.email a@example.org
i=$(cat counter || echo 0)
while i=$((i + 1)); do
  mkdir -p d$((i % 7)) && seq $((i * 13)) > d$((i % 7))/f$i && head -c $((i * 701 % 9000)) /dev/urandom > random && echo $i > counter || exit 0
  git add . && git commit -q -m $i || exit 0
  test $((i % 8)) -ne 5 || git gc -q || exit 0
  sync .git/HEAD && commit=$(git rev-parse HEAD) || exit 0
  echo $commit >> "$o/commits"
done`

/** Locks are what a process leaves that is killed with its filesystem. */
const SOUND = `cd repository; find .git -name '*.lock' -delete
git fsck --strict --no-progress --no-dangling; git merge-base --is-ancestor $commit HEAD; git reset -q --hard; git clean -q -f -d
test -z "$(git status --porcelain)"; git log --format= --stat > /dev/null; test "$(git log -1 --format=%s)" = "$(cat counter)"`

const isEnough = (count: number): boolean => count >= ROUNDS_LEAST

function lines(file: string): number {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0
}
