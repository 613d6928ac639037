import { VolumeError } from '@cowherd/db'
import { DeviceError } from '@cowherd/shim'
import { expect, test } from 'vitest'
import { errnoOf, volumeMessage } from './errno.ts'

test('errors of the volume and its devices have an errno, our own have none', () => {
  expect(errnoOf(new VolumeError('ENOENT', 'volume', 'gone'))).toBe('ENOENT')
  expect(errnoOf(new VolumeError('ENODEV', 'volume', 'a member is missing'))).toBe('EIO')
  expect(errnoOf(new DeviceError('EIO', 'disk', 'bad sector'))).toBe('EIO')
  expect(errnoOf(new TypeError('a bug'))).toBeUndefined()
  expect(errnoOf('nonsense')).toBeUndefined()
})

test('the message of an error of the volume; our own are thrown on', () => {
  expect(volumeMessage(new VolumeError('EIO', 'dev 0', 'bad'))).toBe('dev 0: bad')
  const bug = new TypeError('a bug')
  expect(() => volumeMessage(bug)).toThrow(bug)
})
