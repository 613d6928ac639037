export * from './struct.ts'
