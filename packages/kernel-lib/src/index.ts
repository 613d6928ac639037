export * from './decimal.ts'
export * from './readable.ts'
export * from './struct.ts'
export * from './text.ts'
