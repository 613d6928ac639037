import { fixture, fixtureNames } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { openStore } from '@cowherd/store'
import { describe, expect, test } from 'vitest'
import { portableCodecs } from '@cowherd/shim'
import { printSuperblock } from './print.ts'
import { readSuperblock } from './read.ts'

const codecs = portableCodecs()
const images = fixtureNames().flatMap((name) => [...fixture(name).devices])

describe.skipIf(!referee.available())('show-super, as the real tool prints it', () => {
  test.each(images)('%s', async (image) => {
    const store = openStore(image, { lock: false })
    const superblock = readSuperblock(store, codecs)
    store.close()
    const whole = await referee.bcachefs(['show-super', '-l', '-f', 'all', image])
    expect(printSuperblock(superblock, { layout: true, fields: 'all' })).toBe(whole.stdout)
    const short = await referee.bcachefs(['show-super', image])
    expect(printSuperblock(superblock)).toBe(short.stdout)
  })
})
