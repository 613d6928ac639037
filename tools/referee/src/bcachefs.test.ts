/** How the tool is run, on a stand-in for it: a shell script that does what a test wants, `$n` being the number of the run. */

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { bcachefs, fsck } from './bcachefs.ts'

const HEAP_DAMAGED = "echo 'tcache_thread_shutdown(): unaligned tcache chunk detected' >&2; kill -ABRT $$"
const RACE = 'insufficient writeable journal devices available: have 0, need 1\nrw journal devs:'

let folder = ''
let image = ''
let temporary = ''
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cowherd-tool-'))
  image = path.join(folder, 'a.img')
  fs.writeFileSync(image, 'as it was')
  temporary = path.join(folder, 'tmp')
  fs.mkdirSync(temporary)
  vi.stubEnv('COWHERD_REFEREE', folder)
  vi.stubEnv('TMPDIR', temporary)
})
afterEach(() => {
  vi.unstubAllEnvs()
  fs.rmSync(folder, { recursive: true })
})

/** Puts the script where the tool is looked for; gives a function that tells how often it has been run. */
function standIn(script: string): () => number {
  const count = path.join(folder, 'count')
  fs.writeFileSync(count, '')
  const lines = [
    '#!/bin/sh',
    'ulimit -c 0',
    `echo >> '${count}'; n=$(wc -l < '${count}'); for last; do :; done`,
    script,
  ]
  fs.writeFileSync(path.join(folder, 'bcachefs'), `${lines.join('\n')}\n`, { mode: 0o755 })
  fs.mkdirSync(path.join(folder, 'kernel', 'boot'), { recursive: true })
  for (const name of ['kernel/boot/vmlinuz-1', 'initrd.gz', '.ready']) fs.writeFileSync(path.join(folder, name), '')
  return () => fs.readFileSync(count).length
}

describe('failures of the tool itself', () => {
  test.each([
    ['a damaged heap', HEAP_DAMAGED],
    ['a segmentation fault', 'kill -SEGV $$'],
  ])('%s: a command that writes is run again from the same bytes', async (_, crash) => {
    standIn(`echo " run $n" >> "$last"; echo said; [ $n = 3 ] || { ${crash}; }`)
    expect(await bcachefs(['format', image])).toEqual({ code: 0, stdout: 'said\n', stderr: '', runs: 3 })
    expect(fs.readFileSync(image, 'utf8')).toBe('as it was run 3\n')
    expect(fs.readdirSync(temporary)).toEqual([])
  })

  test('a tool that does nothing any more is ended and run again', async () => {
    standIn(`echo said; [ $n = 2 ] || exec sleep 60`)
    expect(await bcachefs(['fsck', '-n', image], { idleMs: 300 })).toMatchObject({ code: 0, stdout: 'said\n', runs: 2 })
    standIn(`exec sleep 60`)
    expect(await bcachefs(['fsck', '-n', image], { idleMs: 300 })).toMatchObject({ code: 137, runs: 2 })
  })

  test('a tool that works is left alone', async () => {
    standIn(`end=$(($(date +%s) + 2)); while [ $(date +%s) -lt $end ]; do :; done`)
    expect(await bcachefs(['fsck', '-n', image], { idleMs: 500 })).toMatchObject({ code: 0, runs: 1 })
  })

  test('an image that is put back keeps its size and its holes', async () => {
    fs.truncateSync(image, 256 * 2 ** 20)
    standIn(`[ $n = 2 ] || { echo longer >> "$last"; kill -SEGV $$; }`)
    expect(await bcachefs(['format', image])).toMatchObject({ code: 0, runs: 2 })
    const { size, blocks } = fs.statSync(image)
    expect(size).toBe(256 * 2 ** 20)
    expect(blocks * 512).toBeLessThan(2 ** 20)
  })

  test('nothing is put back behind a command that only reads', async () => {
    const runs = standIn(`ls '${temporary}'; [ $n = 2 ] || kill -SEGV $$`)
    for (const args of [
      ['list', image],
      ['list_journal', image],
      ['show-super', image],
      ['fsck', '-n', image],
    ]) {
      fs.rmSync(path.join(folder, 'count'))
      expect(await bcachefs(args)).toEqual({ code: 0, stdout: '', stderr: '', runs: 2 })
      expect(runs()).toBe(2)
    }
    const { stdout } = await bcachefs(['fsck', '-y', image])
    expect(stdout).toMatch(/^cowherd-kept-/)
  })

  test('have an end: after five runs that is how it ended', async () => {
    const runs = standIn('kill -SEGV $$')
    expect(await fsck([image])).toMatchObject({ code: 137, clean: false, runs: 5 })
    expect(runs()).toBe(5)
  })
})

describe('what the tool says', () => {
  test.each([
    ['an exit status', 'exit 1', 1],
    ['a panic', 'exit 101', 101],
    ['a failed assertion', "echo 'assertion failed' >&2; kill -ABRT $$", 137],
  ])('%s is final', async (_, script, code) => {
    const runs = standIn(`echo written > "$last"; ${script}`)
    expect(await bcachefs(['format', image])).toMatchObject({ code, runs: 1 })
    expect(runs()).toBe(1)
    expect(fs.readFileSync(image, 'utf8')).toBe('written\n')
    expect(fs.readdirSync(temporary)).toEqual([])
  })

  test('is cut short when its time is up', async () => {
    standIn('exec sleep 60')
    expect(await bcachefs(['list', image], { timeoutMs: 100 })).toMatchObject({ code: 137, runs: 1 })
  })

  test('when it is done with a volume is no complaint, before it is', async () => {
    const end = 'check_nlinks... done\nshutdown complete, journal seq 8'
    standIn(`echo '${end}\n${RACE}'`)
    expect(await fsck([image])).toMatchObject({ clean: true, stdout: `${end}\n` })
    standIn(`echo '${RACE}\n${end}'`)
    expect(await fsck([image])).toMatchObject({ clean: false, complaints: RACE.split('\n') })
  })

  test.each([
    'modprobe: FATAL: Module bcachefs not found in directory /lib/modules/6.1.0',
    'sh: 1: modprobe: not found',
    'sh: line 1: modprobe: command not found',
  ])('of a driver that this machine has not got is no complaint: %s', async (words) => {
    standIn(`echo '${words}' >&2`)
    expect(await fsck([image])).toMatchObject({ clean: true, stderr: `${words}\n` })
  })
})
