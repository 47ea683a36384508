// Users' tokens: signed here with JWT_SECRET_KEY, or the one TOKEN for every socket.

import crypto from 'k6/crypto';
import encoding from 'k6/encoding';

const { TOKEN, JWT_SECRET_KEY } = __ENV;
if (!TOKEN && !JWT_SECRET_KEY) throw new Error('set JWT_SECRET_KEY (the gateways\' own), or a ready TOKEN');

const part = (object) => encoding.b64encode(JSON.stringify(object), 'rawurl');
const HEAD = part({ alg: 'HS256', typ: 'JWT' });

export function token(user) {
  if (TOKEN) return TOKEN;
  const now = Math.floor(Date.now() / 1000);
  const text = `${HEAD}.${part({ sub: user, iat: now, exp: now + 86400 })}`;
  return `${text}.${crypto.hmac('sha256', JWT_SECRET_KEY, text, 'base64rawurl')}`;
}
