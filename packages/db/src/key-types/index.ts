import type { KeyType } from '../key-type.ts'

export const dbKeyTypes: readonly KeyType[] = []
