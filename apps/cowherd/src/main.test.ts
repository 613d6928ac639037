import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fixture } from '@cowherd/fixtures'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { builtProgram } from './testing/built.ts'

const folder = mkdtempSync(join(tmpdir(), 'cowherd-main-'))
afterAll(() => rmSync(folder, { recursive: true }))

let program = ''
beforeAll(() => void (program = builtProgram()), 120_000)

const [volume = ''] = fixture('small-nodes').devices
const [encrypted = ''] = fixture('encrypted').devices
const hasBash = spawnSync('bash', ['-c', ':']).status === 0
const hasScript = process.platform === 'linux' && spawnSync('script', ['-qec', ':', '/dev/null']).status === 0

const ended = async (child: ChildProcess): Promise<{ code: number | null; signal: string | null }> =>
  new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })))

test.skipIf(!hasBash)('a reader that has enough ends the command quietly', () => {
  const script = `"${process.execPath}" "${program}" ls -lR "${volume}" | head -1; echo "\${PIPESTATUS[0]}"`
  const { stdout, stderr } = spawnSync('bash', ['-c', script])
  expect([stdout.toString(), stderr.toString()]).toEqual(['/:\n141\n', ''])
})

test('Ctrl-C ends a copy cleanly: no file is left half written, and the signal is what ended the process', async () => {
  const copy = join(folder, 'copy')
  const child = spawn(process.execPath, [program, 'get', volume, '/', copy], { stdio: ['ignore', 'pipe', 'pipe'] })
  let err = ''
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const end = ended(child)
  while (!existsSync(copy) && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 1))
  child.kill('SIGINT')
  expect(await end).toEqual({ code: null, signal: 'SIGINT' })
  expect(err).toBe(`cowherd: interrupted: what is in ${copy} is not complete\n`)
  expect(readdirSync(copy, { recursive: true }).length).toBeLessThan(2526)
}, 30_000)

test.skipIf(!hasScript)(
  'the passphrase is asked for on the terminal, without echo',
  async () => {
    const ask = async (typed: string): Promise<{ code: number | null; shown: string }> => {
      const command = `"${process.execPath}" "${program}" ls "${encrypted}" < /dev/null`
      const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] })
      let shown = ''
      child.stdout.on('data', (chunk: Buffer) => {
        shown += chunk.toString()
        if (!shown.includes('Passphrase of')) return
        child.stdout.removeAllListeners('data')
        child.stdout.on('data', (more: Buffer) => (shown += more.toString()))
        setTimeout(() => child.stdin.write(typed), 200)
      })
      const { code } = await ended(child)
      return { code, shown }
    }
    const right = await ask('cowherX\x7fd\r')
    expect([right.code, right.shown]).toEqual([0, expect.stringContaining('lost+found')])
    expect(right.shown).not.toContain('cowherd\r')
    const wrong = await ask('secret\r')
    expect([wrong.code, wrong.shown]).toEqual([3, expect.stringContaining('wrong passphrase')])
    expect(wrong.shown).not.toContain('secret')
    expect((await ask('secr\x03')).code).toBe(130)
  },
  60_000,
)

test.skipIf(!existsSync('/dev/full'))('output that can not be written', () => {
  const script = `"${process.execPath}" "${program}" ls "${volume}" > /dev/full`
  const { status, stderr } = spawnSync('sh', ['-c', script])
  expect([status, stderr.toString()]).toEqual([1, "cowherd: the output can't be written (ENOSPC)\n"])
})
