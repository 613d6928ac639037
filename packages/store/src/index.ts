export { openStore, type OpenStoreOptions } from './file-store.ts'
export { memoryStore, type Pages } from './memory-store.ts'
export { joinVolume, parseVolume } from './volume-name.ts'
