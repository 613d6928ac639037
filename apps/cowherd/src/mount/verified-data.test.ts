/**
 * Programs that verify what they have written, by all ways there are to write, and over each other: a program of ours, and fio where it is
 * installed. COWHERD_SOAK=1: for far longer.
 */

import { spawnSync } from 'node:child_process'
import { fuseAvailable } from '@cowherd/fixtures'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { cProgram, hasCompiler } from '../testing/c-programs.ts'
import { isSoak, LIMIT, RW, WorkPlace } from '../testing/work-place.ts'

const hasFio = spawnSync('fio', ['--version']).status === 0

let place: WorkPlace
beforeEach(() => {
  place = new WorkPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

const SEED = `${isSoak ? Date.now() % 1_000_000 : 1}`
/** Rows of blocks that each process writes. */
const ROUNDS = isSoak ? '30000' : '500'
const FIO_MIB = isSoak ? 64 : 8

const VOLUMES: [name: string, format: string[]][] = [['as it is by default', []]]
if (isSoak) VOLUMES.push(['compressed', ['--compression=lz4']], ['encrypted', ['--encrypted', '--no_passphrase']])

describe.skipIf(!fuseAvailable() || !hasCompiler)('blocks written by several processes over each other', () => {
  test.each(VOLUMES)('%s', LIMIT, async (_name, format) => {
    await place.mountNew(256, format)
    const env = { program: cProgram('verified-blocks'), seed: SEED, rounds: ROUNDS }
    await place.inside('echo "seed $seed" >&2; "$program" work file "$o/table" $seed $rounds 4', env)
    const checked = '"$program" check file "$o/table"'
    await place.inside(checked, env)
    await place.unmount()
    await place.judge()
    await place.mount(place.image, RW)
    await place.inside(`${checked}; "$program" work file "$o/table" $seed 100 4; ${checked}`, env)
    await place.unmount()
    await place.judge()
  })
})

describe.skipIf(!fuseAvailable() || !hasFio)('fio', () => {
  test('verifies what it has written', LIMIT, async () => {
    await place.mountNew(isSoak ? 1024 : 256)
    const env = { jobs: JOBS.join('\n') }
    await place.inside(
      'printf "%s\n" "$jobs" > "$o/jobs"; fio --output="$o/said" "$o/jobs" || { cat "$o/said"; exit 1; }',
      env,
    )
    await place.unmount()
    await place.judge()
    await place.mount(place.image, RW)
    await place.inside('fio --verify_only --output="$o/said" "$o/jobs" || { cat "$o/said"; exit 1; }')
    await place.unmount()
  })
})

/** Each writes a file of its own, all at once, and reads it as it goes; then all is read once more. */
const JOBS = [
  '[global]',
  'directory=${m}',
  `size=${FIO_MIB}m`,
  ...['verify=crc32c', 'verify_fatal=1', 'verify_dump=0', 'verify_backlog=128', `randseed=${SEED}`, 'allrandrepeat=1'],
  ...['[random]', 'ioengine=psync', 'rw=randwrite', 'bs=4k', 'fsync=64'],
  ...['[uneven]', 'ioengine=psync', 'rw=write', 'bs=7k', `size=${7 * (FIO_MIB >> 3)}m`, 'fallocate=none'],
  ...['[vectors]', 'ioengine=pvsync', 'rw=randwrite', 'bsrange=4k-64k', 'bs_unaligned=0', 'fdatasync=32'],
  ...['[mapped]', 'ioengine=mmap', 'rw=randwrite', 'bs=4k'],
  ...['[direct]', 'ioengine=psync', 'rw=randwrite', 'bs=16k', 'direct=1'],
  ...['[queued]', 'ioengine=libaio', 'rw=randwrite', 'bs=8k', 'iodepth=16', 'direct=1'],
  ...['[backwards]', 'ioengine=psync', 'rw=write:-8k', 'bs=4k', 'end_fsync=1'],
]
