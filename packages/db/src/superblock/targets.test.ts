import { expect, test } from 'vitest'
import { memberOf } from '../testing/members.ts'
import type { DiskGroup } from './sections/disk-groups.ts'
import { targetDevices } from './targets.ts'

test('a target stands for a device, or for all that its label is above of', () => {
  const group = (label: string, parent?: number): DiskGroup => ({ label, parent, deleted: false, dataAllowed: 31 })
  // ssd, ssd.fast, hdd, and two that claim to be above each other
  const groups = [group('ssd'), group('fast', 0), group('hdd'), group('egg', 4), group('hen', 3)]
  const members = [
    memberOf(0, { group: 1 }),
    memberOf(1, { group: 2 }),
    memberOf(2, { group: 0 }),
    memberOf(3),
    memberOf(4, { group: 0, alive: false }),
    memberOf(5, { group: 3 }),
  ]
  const devices = (target: number): number[] => [...targetDevices(target, groups, members)]
  expect(devices(0)).toEqual([])
  expect(devices(4)).toEqual([3])
  expect(devices(5)).toEqual([])
  expect(devices(257)).toEqual([0, 2])
  expect(devices(258)).toEqual([0])
  expect(devices(259)).toEqual([1])
  expect(devices(261)).toEqual([5])
  expect(devices(300)).toEqual([])
})
