import { expect, test } from 'vitest'
import { collect } from '../testing/command-line.ts'
import { ClosedPipe } from './exit-code.ts'
import { Output } from './output.ts'

test('text and bytes arrive in order, whatever their size', () => {
  const { output, bytes } = collect()
  let expected = ''
  for (const length of [0, 1, 65_535, 65_536, 3, 200_000]) {
    output.write('ä'.repeat(length))
    output.write(new Uint8Array(length).fill(120))
    expected += 'ä'.repeat(length) + 'x'.repeat(length)
  }
  output.write('😀'.repeat(40_000))
  output.line('end')
  expect(new TextDecoder().decode(bytes())).toBe(`${expected}${'😀'.repeat(40_000)}end\n`)
})

test('a sink that takes little, or nothing for a while', () => {
  const taken: number[] = []
  let busy = 3
  const output = new Output((bytes) => {
    if (busy-- > 0) throw Object.assign(new Error('later'), { code: 'EAGAIN' })
    taken.push(bytes[0] ?? 0)
    return 1
  })
  output.write('abc')
  output.flush()
  expect(taken).toEqual([97, 98, 99])
})

test('a reader that went away ends the command; what was buffered is gone', () => {
  const output = new Output(() => {
    throw Object.assign(new Error('gone'), { code: 'EPIPE' })
  })
  output.write('abc')
  expect(() => output.flush()).toThrow(ClosedPipe)
  output.flush()
})
