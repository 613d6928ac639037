/** What a bucket, or a copy of data, is used for. Format chapter 1, 1.4. */

export const DataType = {
  free: 0,
  sb: 1,
  journal: 2,
  btree: 3,
  user: 4,
  cached: 5,
  parity: 6,
  stripe: 7,
  needGcGens: 8,
  needDiscard: 9,
  unstriped: 10,
} as const

/** Names by data type number, as the format spells them. */
export const DATA_TYPES: readonly string[] = [
  'free',
  'sb',
  'journal',
  'btree',
  'user',
  'cached',
  'parity',
  'stripe',
  'need_gc_gens',
  'need_discard',
  'unstriped',
]

/** The name of a data type, `(unknown data_type N)` for others. */
export function dataTypeName(type: number): string {
  return DATA_TYPES[type] ?? `(unknown data_type ${type})`
}
