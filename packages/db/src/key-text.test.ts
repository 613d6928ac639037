import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { Key } from './key.ts'
import { keyText } from './key-text.ts'
import type { VolumeShape } from './key-type.ts'
import { dbKeyTypes } from './key-types/index.ts'
import { bytesOfHex, shapeOf } from './testing/keys.ts'

const FIXTURE = new URL('../test/fixtures/key-text.tsv', import.meta.url)
const types = new Map(dbKeyTypes.map((type) => [type.number, type]))
const shape: VolumeShape = {
  ...shapeOf({ bucketSectors: 256, bucketCount: 512 }),
  bucketGeneration: () => 0,
  deviceName: () => 'c2.img',
}

const rows = readFileSync(FIXTURE, 'latin1')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [hex = '', text = ''] = line.split('\t')
    const key = new Key()
    key.bytes.set(bytesOfHex(hex))
    return { key, text: text.replaceAll('\\n', '\n') }
  })

it('has all types', () => {
  expect(new Set(rows.map((row) => row.key.type))).toEqual(new Set([...types.keys(), 35, 60, 127].filter((n) => n > 0)))
})

it('checks values as the reference tool does', () => {
  for (const { key, text } of rows) {
    const type = types.get(key.type)
    const short = key.valueBytes < (type?.minValueBytes ?? 0)
    const fault = short ? 'too short' : type?.check?.(key, { btree: 2, level: 0 }, shape)
    expect({ key: key.posText, reference: text, invalid: fault !== undefined, fault }).toMatchObject({
      invalid: text.startsWith('invalid: '),
    })
  }
})

it('prints keys as the reference tool does', () => {
  for (const { key, text } of rows) {
    if (text.startsWith('invalid: ') || !types.has(key.type)) continue
    expect(keyText(key, types, shape).replace(/\n$/, '')).toBe(text)
  }
})

it('prints and describes whatever the bytes are', () => {
  for (const { key } of rows) {
    const type = types.get(key.type)
    expect(keyText(key, types, shape)).toContain(key.posText)
    for (const words of [6, 5]) {
      key.bytes[0] = words
      keyText(key, types, shape)
      type?.describe?.(key, shape)
    }
  }
})

it('survives random values', () => {
  let seed = 1
  const random = (): number => (seed = Math.imul(seed, 1664525) + 1013904223) >>> 0
  const key = new Key()
  for (let round = 0; round < 20_000; round++) {
    for (let i = 0; i < 40; i++) key.words[i] = random() & random()
    key.bytes[0] = 5 + (random() % 20)
    key.bytes[2] = random() % 40
    const type = types.get(key.type)
    const faults = [type?.check?.(key, { btree: 0, level: 0 }, shape), type?.describe?.(key, shape)]
    expect(faults.length + keyText(key, types, shape).length).toBeGreaterThan(10)
  }
})
