import { expect, test } from 'vitest'
import { minuteText, modeText, nanosecondText, printable, sizeText, typeText } from './text.ts'

test('names that a terminal may show stay, others are escaped', () => {
  const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
  expect(printable('grün 漢字 😀')).toBe('grün 漢字 😀')
  expect(printable('a\x1b[31mb\n')).toBe('a\\033[31mb\\012')
  expect(printable('left\u202eright')).toBe('left\\342\\200\\256right')
  expect(printable(bytes(0x61, 0xff, 0xc3, 0xa4, 0xc3, 0x62, 0xe2, 0x82))).toBe('a\\377ä\\303b\\342\\202')
  expect(printable(bytes(0xc0, 0x80, 0xf8, 0x7f))).toBe('\\300\\200\\370\\177')
})

test('modes as ls shows them', () => {
  expect(modeText(0o100644)).toBe('-rw-r--r--')
  expect(modeText(0o040755)).toBe('drwxr-xr-x')
  expect(modeText(0o041777)).toBe('drwxrwxrwt')
  expect(modeText(0o106755)).toBe('-rwsr-sr-x')
  expect(modeText(0o107644)).toBe('-rwSr-Sr-T')
  expect(modeText(0o120777)).toBe('lrwxrwxrwx')
  expect([modeText(0o010600), modeText(0o020600), modeText(0o060600), modeText(0o140600)]).toEqual([
    'prw-------',
    'crw-------',
    'brw-------',
    'srw-------',
  ])
  expect(modeText(0o600)).toBe('?rw-------')
  expect(typeText(0o060600)).toBe('block device')
})

test('times to the minute and to the nanosecond, also before 1970 and beyond all dates', () => {
  const zone = process.env['TZ']
  process.env['TZ'] = 'Asia/Kathmandu'
  try {
    expect(minuteText(1_700_000_000)).toBe('2023-11-15 03:58')
    expect(nanosecondText(1_700_000_000, 123_456_789)).toBe('2023-11-15 03:58:20.123456789 +0545')
    expect(nanosecondText(-1, 999_999_999)).toBe('1970-01-01 05:29:59.999999999 +0530')
    expect(minuteText(2 ** 43)).toMatch(/^\d+ s$/)
  } finally {
    if (zone === undefined) delete process.env['TZ']
    else process.env['TZ'] = zone
  }
})

test('sizes for people', () => {
  expect([0, 1023, 1024, 1536, 10_240, 1_048_576, 123 * 1024 ** 3].map(sizeText)).toEqual([
    '0 B',
    '1023 B',
    '1.00 KiB',
    '1.50 KiB',
    '10.0 KiB',
    '1.00 MiB',
    '123 GiB',
  ])
})
