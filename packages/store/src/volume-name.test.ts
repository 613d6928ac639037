import { expect, test } from 'vitest'
import { joinVolume, parseVolume } from './volume-name.ts'

const none = (): boolean => false

test('devices joined by colons', () => {
  expect(parseVolume('a.img', none)).toEqual(['a.img'])
  expect(parseVolume('/dev/sda:/dev/sdb:c', none)).toEqual(['/dev/sda', '/dev/sdb', 'c'])
})

test('names with colons: existing as a whole, or escaped', () => {
  expect(parseVolume('disk:1.img', (path) => path === 'disk:1.img')).toEqual(['disk:1.img'])
  expect(parseVolume('disk\\:1.img:b', none)).toEqual(['disk:1.img', 'b'])
  expect(parseVolume('a\\\\:b\\c', none)).toEqual(['a\\', 'b\\c'])
})

test('empty names are refused', () => {
  for (const volume of ['', ':', 'a:', 'a::b', ':b'])
    expect(() => parseVolume(volume, none)).toThrow('empty device name')
})

test('joining is the other way round', () => {
  const paths = ['/dev/sda', 'disk:1.img', 'a\\b']
  expect(parseVolume(joinVolume(paths), none)).toEqual(paths)
})
