import { expect, test } from 'vitest'
import { collect } from '../testing/command-line.ts'
import { JsonArray, jsonText } from './json.ts'

test('wide numbers and bytes', () => {
  expect(jsonText({ a: 1n, b: 2n ** 63n, c: -(2n ** 60n), d: Uint8Array.of(1, 255) })).toBe(
    '{"a":1,"b":"9223372036854775808","c":"-1152921504606846976","d":"01ff"}',
  )
})

test('arrays are valid JSON, one element a line', () => {
  for (const elements of [[], [{ a: 1 }], [{ a: 1 }, 'two', 3n]]) {
    const { output, bytes } = collect()
    const array = new JsonArray(output)
    for (const element of elements) array.add(element)
    array.end()
    const text = new TextDecoder().decode(bytes())
    expect(JSON.parse(text)).toEqual(elements.map((element) => (element === 3n ? 3 : element)))
    expect(text.split('\n').length).toBe(elements.length === 0 ? 2 : elements.length + 3)
  }
})
