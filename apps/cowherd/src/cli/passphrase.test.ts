import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { givenPassphrase, LineEditor } from './passphrase.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

test('from a file without its line end, before the environment', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cowherd-passphrase-'))
  const file = join(folder, 'pass')
  for (const [content, passphrase] of [
    ['secret', 'secret'],
    ['secret\n', 'secret'],
    ['se cret\r\n', 'se cret'],
    ['secret\n\n', 'secret\n'],
  ] as const) {
    writeFileSync(file, content)
    expect([...(givenPassphrase({ file, environment: 'other' }) ?? [])]).toEqual([...bytes(passphrase)])
  }
  rmSync(folder, { recursive: true })
  expect(() => givenPassphrase({ file })).toThrow(`${file}: the passphrase can't be read (ENOENT)`)
  expect(givenPassphrase({ environment: 'pass' })).toEqual(bytes('pass'))
  expect(givenPassphrase({})).toBeUndefined()
})

test('a line typed with corrections', () => {
  const line = new LineEditor()
  const typed = [...bytes('oops'), 21, ...bytes('grün'), 127, 127, ...bytes('een')]
  for (const byte of typed) expect(line.type(byte)).toBe('more')
  expect(line.type(13)).toBe('done')
  expect(new TextDecoder().decode(line.bytes)).toBe('green')
  expect(line.type(3)).toBe('interrupted')
  for (let i = 0; i < 9; i++) line.type(8)
  expect(line.bytes.length).toBe(0)
})
