import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { cowherd } from '../testing/command-line.ts'
import { EXIT_CODE_HELP } from './exit-code.ts'
import { packageVersion } from './package-version.ts'

test('version, as a command and as an option', async () => {
  expect(await cowherd(['version'])).toMatchObject({ code: 0, out: `cowherd ${packageVersion()}\n`, err: '' })
  expect((await cowherd(['--version'])).out).toBe(`${packageVersion()}\n`)
  expect(JSON.parse((await cowherd(['version', '--json'])).out)).toMatchObject({ version: packageVersion() })
})

test('help names every command, with an example and the exit codes', async () => {
  const { code, out } = await cowherd(['--help'])
  expect(code).toBe(0)
  const names = [...out.matchAll(/^ {2}([a-z-]+) (?:\[|<)/gm)].map((match) => match[1] ?? '')
  expect(names).toContain('version')
  for (const name of names) {
    if (name === 'help') continue
    const help = await cowherd([name, '--help'])
    expect([name, help.code]).toEqual([name, 0])
    expect(help.out).toMatch(new RegExp(`Examples?:\n {2}\\$ .*cowherd ${name}`))
    expect(help.out).toContain('Exit codes:\n  0    done')
    expect((await cowherd(['help', name])).out).toBe(help.out)
  }
})

test('the documents have every command and every exit code', async () => {
  const document = readFileSync(new URL('../../../../docs/how-to/command-line.md', import.meta.url), 'utf8')
  const { out } = await cowherd(['--help'])
  for (const [, name = ''] of out.matchAll(/^ {2}([a-z-]+) (?:\[|<)/gm)) {
    if (name !== 'help') expect(document).toMatch(new RegExp(`^\\| \`${name}\` `, 'm'))
  }
  for (const [, code = '', meaning = ''] of EXIT_CODE_HELP.matchAll(/^ {2}(\d+) +(.*)$/gm)) {
    expect(document.replaceAll(/ +\|/g, ' |')).toContain(`| ${code.padEnd(4)} | ${meaning} |`.replaceAll(/ +\|/g, ' |'))
  }
})

test('wrong command lines: one line, exit code 2', async () => {
  for (const argv of [['verison'], ['version', '--nothing'], ['version', 'more'], ['--nothing']]) {
    const { code, out, err } = await cowherd(argv)
    expect([argv, code, out]).toEqual([argv, 2, ''])
    expect(err).toMatch(/^cowherd: .*\n$/)
  }
  expect((await cowherd(['verison'])).err).toBe(`cowherd: unknown command 'verison' (Did you mean version?)\n`)
  const { code, err } = await cowherd([])
  expect(code).toBe(2)
  expect(err).toContain('Usage: cowherd')
})

test.each([['find'], ['manifest'], ['mount'], ['set-fs-option', '--no_acl']])(
  '%s: a volume without a name',
  async (...words) => {
    const argv = [...words, '', ...(words[0] === 'mount' ? ['/mnt'] : [])]
    const { code, err } = await cowherd(argv)
    expect(code === 1 || code === 3).toBe(true)
    expect(err).toMatch(/^cowherd: .*: an empty device name\n$/)
  },
)
