import { describe, expect, test } from 'vitest'
import type { AclEntry } from '../acl.ts'
import { aclWithMode, inheritedAcl, isPlainAcl, isValidAcl, modeOfAcl } from './access-lists.ts'

const entry = (tag: number, permissions: number, id?: number): AclEntry => ({ tag, permissions, id })
const PLAIN = [entry(1, 7), entry(4, 5), entry(0x20, 1)]
const NAMED = [entry(1, 7), entry(2, 5, 1001), entry(4, 4), entry(8, 6, 1002), entry(0x10, 7), entry(0x20, 1)]

describe('an access list', () => {
  test('is valid with all it must have, in order', () => {
    expect([PLAIN, NAMED].map(isValidAcl)).toEqual([true, true])
    const wrong = [
      [],
      PLAIN.slice(1),
      PLAIN.toReversed(),
      [...PLAIN, entry(0x20, 1)],
      NAMED.filter(({ tag }) => tag !== 0x10),
      [entry(1, 7), entry(2, 5, 0xffffffff), ...NAMED.slice(2)],
      [entry(1, 15), ...PLAIN.slice(1)],
      [...PLAIN, entry(0x40, 0)],
    ]
    for (const entries of wrong) expect(isValidAcl(entries)).toBe(false)
    expect(isPlainAcl(PLAIN)).toBe(true)
    expect(isPlainAcl(NAMED)).toBe(false)
  })

  test('says the mode: of the group, what the mask does', () => {
    expect(modeOfAcl(PLAIN, 0o104000)).toBe(0o104751)
    expect(modeOfAcl(NAMED, 0)).toBe(0o771)
  })

  // The example of format chapter 5, 5.6.2.
  test('is told the mode', () => {
    const changed = aclWithMode(NAMED, 0o640)
    expect(changed.map(({ permissions }) => permissions)).toEqual([6, 5, 4, 6, 4, 0])
    expect(aclWithMode(PLAIN, 0o640).map(({ permissions }) => permissions)).toEqual([6, 4, 0])
  })

  test('grants in a new file what both it and the mode grant', () => {
    const own = inheritedAcl(NAMED, 0o100666)
    expect(own.map(({ permissions }) => permissions)).toEqual([6, 5, 4, 6, 6, 0])
    expect(modeOfAcl(own, 0o100666)).toBe(0o100660)
  })
})
