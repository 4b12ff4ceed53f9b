// What Node has for the scripts here; t/browser/platform.mjs is a browser's.

import { createRequire } from 'node:module';
import { isDeepStrictEqual } from 'node:util';

const require = createRequire(`${process.env.NODE_PATH}/`);

globalThis.WebSocket = require('ws').WebSocket;

export const stompjs = require('@stomp/stompjs');
export const address = `127.0.0.1:${process.argv[2]}`;
export const equal = isDeepStrictEqual;
export const exit = (code) => process.exit(code);
