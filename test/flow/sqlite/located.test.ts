import '../../support/on-sqlite.ts'
import '../located.test.ts'
