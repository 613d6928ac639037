import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadNative } from '@cowherd/shim'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { LocalData } from './local-data.ts'
import { localFile } from './local-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'cowherd-local-'))
afterAll(() => rmSync(folder, { recursive: true }))

const path = join(folder, 'file')
const BLOCK = 4096

interface Gathered {
  readonly content: Uint8Array
  readonly size: number
  /** Bytes that were given out. */
  readonly given: number
}

function gather(native: ReturnType<typeof loadNative>, bufferBytes = 4 * BLOCK): Gathered {
  const data = new LocalData(localFile(Buffer.from(path)), native, new Uint8Array(bufferBytes))
  const content = new Uint8Array(1 << 20)
  let [end, given] = [0, 0]
  while (data.next()) {
    expect(data.offset).toBeGreaterThanOrEqual(end) // in order
    content.set(data.bytes, data.offset)
    end = data.offset + data.bytes.length
    given += data.bytes.length
  }
  data.close()
  return { content, size: data.sizeWithHole ?? end, given }
}

/** A file of `size` bytes with data in some of its blocks. */
function makeSparse(size: number, blocks: readonly number[]): void {
  const fd = openSync(path, 'w')
  for (const block of blocks) writeSync(fd, Buffer.alloc(BLOCK, block + 1), 0, BLOCK, block * BLOCK)
  ftruncateSync(fd, size)
  closeSync(fd)
}

describe.each([
  ['asked for', loadNative()],
  ['looked for', undefined],
])('holes are %s', (how, native) => {
  test.skipIf(how === 'asked for' && native === undefined)('whatever there is', () => {
    fc.assert(
      fc.property(
        fc.nat(60 * BLOCK),
        fc.uniqueArray(fc.nat(63)),
        fc.constantFrom(BLOCK, 4 * BLOCK, 64 * BLOCK),
        (size, blocks, bufferBytes) => {
          makeSparse(size, blocks)
          const { content, size: found, given } = gather(native, bufferBytes)
          const wanted = readFileSync(path)
          expect(found).toBe(size)
          expect(Buffer.compare(content.subarray(0, size), wanted)).toBe(0)
          const dataBytes = blocks.filter((block) => block * BLOCK < size).length * BLOCK
          expect(given).toBeLessThanOrEqual(dataBytes)
        },
      ),
      { numRuns: 200 },
    )
  })
})

test('a file without holes comes whole, zeros and all', () => {
  writeFileSync(path, Buffer.alloc(100_000))
  expect(gather(undefined)).toMatchObject({ size: 100_000, given: 100_000 })
})

test('a file that becomes shorter ends where it ends', () => {
  writeFileSync(path, Buffer.alloc(100_000, 1))
  const data = new LocalData(localFile(Buffer.from(path)), undefined, new Uint8Array(BLOCK))
  expect(data.next()).toBe(true)
  truncateSync(path, BLOCK + 10)
  expect([data.next(), data.bytes.length, data.next(), data.sizeWithHole]).toEqual([true, 10, false, undefined])
  data.close()
})

test.skipIf(process.platform !== 'linux')('what the kernel makes up has no size, but an end', () => {
  const data = new LocalData(localFile(Buffer.from('/proc/self/status')), loadNative(), new Uint8Array(BLOCK))
  let text = ''
  while (data.next()) text += Buffer.from(data.bytes).toString()
  expect(text).toContain('Name:')
  expect(data.sizeWithHole).toBeUndefined()
  data.close()
})
