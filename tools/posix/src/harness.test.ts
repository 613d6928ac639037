import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compileDriver, harnessSources, posixAvailable } from './driver.ts'
import { PosixError } from './index.ts'
import type { CaseResult, PosixRun } from './results.ts'
import { runDriver } from './run-posix.ts'
import { tableOf } from './table.ts'

const unavailable = posixAvailable()
if (unavailable !== undefined) console.warn(`skipped: ${unavailable}`)

let folder = ''
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cowherd-posix-test-'))
})
afterAll(() => {
  fs.rmSync(folder, { recursive: true, force: true })
})

describe.skipIf(unavailable !== undefined)('the harness', () => {
  const broken = (): string => compileDriver([...harnessSources(), 'testing/broken.c'])

  let run: PosixRun
  let heard: CaseResult[]
  beforeAll(async () => {
    heard = []
    run = await runDriver(broken(), folder, { timeoutMs: 2000, onResult: (result) => heard.push(result) })
  })

  /** What came of a case, without its name, title and time. */
  function outcomeOf(name: string): object {
    const result = run.results.find((each) => each.name === `broken/${name}`)
    const {
      name: _name,
      title: _title,
      elapsedMs: _elapsedMs,
      ...outcome
    } = result ?? { name, title: '', elapsedMs: 0 }
    return outcome
  }

  const failure = (expected: string, seen: string): object => ({
    outcome: 'failed',
    at: expect.stringMatching(/^testing\/broken\.c:\d+$/) as string,
    expected,
    seen,
  })

  test('says where it ran, and tells each result as it comes', () => {
    expect(run.kernel).toBe(os.release())
    expect(run.filesystem).toMatch(/^\w+/)
    expect(heard).toEqual(run.results)
  })

  test('notes what was expected, and what was seen', () => {
    expect(outcomeOf('holds')).toEqual({ outcome: 'ok' })
    expect(outcomeOf('call_fails')).toEqual(failure('open("missing", O_RDONLY) succeeds', 'it failed with ENOENT'))
    expect(outcomeOf('call_succeeds')).toEqual(failure('mkdir("d", 0755) fails with EEXIST', 'it returned 0'))
    expect(outcomeOf('other_errno')).toEqual(
      failure('rmdir("missing") fails with EEXIST or EPERM', 'it failed with ENOENT'),
    )
    expect(outcomeOf('values')).toEqual(failure('round 2: mode_of("f") is 0600', '0640'))
    expect(outcomeOf('text')).toEqual(failure('text_of("f") is "plain"', '""tab\t\u00ff\\"'))
    expect(outcomeOf('contents')).toEqual(
      failure(expect.stringContaining('the file from 262144 on (pattern 1): byte 37855 of 37856') as string, '0x00'),
    )
    expect(outcomeOf('in_helper')).toEqual(failure('open("missing/f") succeeds', 'it failed with ENOENT'))
  })

  test('notes the first failure, in whatever process', () => {
    expect(outcomeOf('in_child')).toEqual(failure('2 is 1', '2'))
    expect(outcomeOf('beside')).toEqual(failure('2 is 1', '2'))
    expect(outcomeOf('one_of_many')).toEqual(failure('false is 1', '0'))
  })

  test('survives crashes, and cases without an end', () => {
    expect(outcomeOf('crash')).toEqual(
      failure('the case comes to its end', expect.stringContaining('signal 11') as string),
    )
    expect(outcomeOf('crash_in_child')).toEqual(
      failure('the process ends well', expect.stringContaining('signal 7') as string),
    )
    expect(outcomeOf('endless')).toEqual(failure('the case comes to its end', 'it was still running after 2000 ms'))
    expect(outcomeOf('left_running')).toEqual(failure('2 is 1', '2'))
  })

  test('skips with a reason', () => {
    expect(outcomeOf('skipped')).toEqual({ outcome: 'skipped', reason: 'there is no moon here' })
    expect(outcomeOf('optional')).toEqual({ outcome: 'skipped', reason: "-1 isn't there: EOPNOTSUPP" })
  })

  test('leaves nothing behind', () => {
    expect(outcomeOf('closed_directories')).toEqual({ outcome: 'ok' })
    expect(fs.readdirSync(folder)).toEqual([])
  })

  test('runs the cases that are asked for', async () => {
    const some = await runDriver(broken(), folder, { cases: ['*/call_*', 'broken/holds'] })
    expect(some.results.map(({ name }) => name)).toEqual(['broken/holds', 'broken/call_fails', 'broken/call_succeeds'])
  })

  test('complains of a name that no case has', async () => {
    const running = runDriver(broken(), folder, { cases: ['broken/none'] })
    await expect(running).rejects.toThrow(new PosixError('no case is called broken/none'))
  })

  test('is stopped by a signal', async () => {
    const stopped = new AbortController()
    const running = runDriver(broken(), folder, {
      timeoutMs: 2000,
      signal: stopped.signal,
      onResult: () => stopped.abort(),
    })
    await expect(running).rejects.toThrow(new PosixError('the POSIX suite was stopped'))
    expect(fs.readdirSync(folder)).toEqual([])
  })

  test('complains of a directory that is not there', async () => {
    await expect(runDriver(broken(), path.join(folder, 'missing'), {})).rejects.toThrow(
      /missing: No such file or directory$/,
    )
  })
})

test('the table tells faults from what is known to differ', () => {
  const judged = { title: 'what must hold', elapsedMs: 1 }
  const failed = { ...judged, outcome: 'failed', at: 'x/y.c:1', expected: 'this', seen: 'that' } as const
  const run: PosixRun = {
    filesystem: 'xfs',
    kernel: '6.12.0',
    root: true,
    results: [
      { ...judged, name: 'symlink/loops', outcome: 'ok' },
      { ...failed, name: 'symlink/longest' },
      { ...failed, name: 'rename/moves' },
      { ...judged, name: 'rename/dots', outcome: 'skipped', reason: 'no time' },
    ],
  }
  expect(tableOf(run).split('\n')).toEqual([
    'xfs, Linux 6.12.0, as root',
    '  symlink         1 ok   1 known to differ',
    '  rename          0 ok   1 failed   1 skipped',
    'skipped: no time',
    '  rename/dots',
    'known to differ: symlink/longest: a symlink holds 1023 bytes at most',
    'FAILED rename/moves: what must hold',
    '  x/y.c:1',
    '  expected: this',
    '  seen:     that',
    '1 ok   1 failed   1 known to differ   1 skipped',
  ])
})
