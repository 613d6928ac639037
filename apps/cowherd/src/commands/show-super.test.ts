import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { fixture } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { expect, test, vi } from 'vitest'
import { cowherd } from '../testing/command-line.ts'

vi.setConfig({ testTimeout: 60_000 })

const [image] = fixture('tiered').devices

test.skipIf(!referee.available())('prints what the real tool prints', async () => {
  const real = await referee.bcachefs(['show-super', '-l', '-f', 'members_v1,clean', image])
  expect(await cowherd(['show-super', '-l', '-f', 'members_v1,clean', image])).toMatchObject({
    code: 0,
    out: real.stdout,
    err: '',
  })
})

test('prints each device of a volume', async () => {
  const { out } = await cowherd(['show-super', fixture('tiered').devices.join(':')])
  expect(out.match(/^Device index: +\d$/gm)).toEqual([expect.stringMatching(/0$/), expect.stringMatching(/1$/)])
  expect((await cowherd(['show-super', '-f', 'disk_groups', image])).out).toMatch(/name slow\]\n$/)
})

test('prints JSON', async () => {
  const { out } = await cowherd(['show-super', '--json', image])
  expect(JSON.parse(out)).toMatchObject({
    device: image,
    uuid: expect.stringMatching(/^[-0-9a-f]{36}$/) as unknown,
    options: { promote_target: { label: 'ssd' } },
    members: [{ label: 'ssd.fast' }, { label: 'hdd.slow' }],
  })
  const all = await cowherd(['show-super', '--json', fixture('tiered').devices.join(':')])
  expect(JSON.parse(all.out)).toHaveLength(2)
})

test('a copy that is damaged is passed over, and told of', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cowherd-test-'))
  const damaged = path.join(folder, 'damaged')
  fs.copyFileSync(image, damaged)
  const fd = fs.openSync(damaged, 'r+')
  fs.writeSync(fd, 'damaged', 4096 + 800)
  fs.closeSync(fd)
  try {
    const told = /^cowherd: .* sector 8: superblock: checksum mismatch .*; the copy at sector \d+ is used\n$/
    for (const argv of [
      ['show-super', damaged],
      ['ls', '-o', 'very_degraded', damaged],
    ]) {
      expect(await cowherd(argv)).toMatchObject({ code: 0, err: expect.stringMatching(told) as unknown })
    }
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
})

test('says what is wrong in one line', async () => {
  expect(await cowherd(['show-super', '-f', 'members', image])).toMatchObject({
    code: 2,
    err: expect.stringMatching(/^cowherd: -f members: no such section \(there are: all, journal, .*\)\n$/) as unknown,
  })
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cowherd-test-'))
  const other = path.join(folder, 'other')
  fs.writeFileSync(other, 'x'.repeat(10000))
  try {
    expect(await cowherd(['show-super', other])).toMatchObject({
      code: 3,
      out: '',
      err: `cowherd: ${other}: not a bcachefs volume\n`,
    })
    expect(await cowherd(['show-super', folder])).toMatchObject({ code: 3, out: '' })
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
})
