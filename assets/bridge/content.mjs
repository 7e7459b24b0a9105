/**
 * What a WhatsApp message says. Pure.
 *
 * Every field of the protocol buffer's `Message` has its place in one of the tables here; `test/content.test.mjs` walks the
 * schema, so that a field of a newer library fails it until somebody decides. What is not text is described in brackets.
 */

const TEXT = 100_000;
const SHORT = 1_000;
const VCARD = 32_000;
const CONTACTS = 8;
const PARTS = 20;

/** Fields that only carry another message. The library unwraps some of them, and not always. */
export const WRAPPERS = new Set(['ephemeralMessage', 'viewOnceMessage', 'viewOnceMessageV2', 'viewOnceMessageV2Extension',
  'documentWithCaptionMessage', 'editedMessage', 'groupMentionedMessage', 'botInvokeMessage', 'lottieStickerMessage',
  'eventCoverImage', 'statusMentionMessage', 'pollCreationOptionImageMessage', 'associatedChildMessage',
  'groupStatusMentionMessage', 'pollCreationMessageV4', 'statusAddYours', 'groupStatusMessage', 'groupStatusMessageV2',
  'limitSharingMessage', 'botTaskMessage', 'questionMessage', 'questionReplyMessage', 'botForwardedMessage',
  'commentMessage', 'deviceSentMessage']);
/** More than any client nests. */
const DEPTH = 8;

/** Fields that say nothing to a reader, or only in a form that is encrypted once more. */
export const SILENT = new Set(['senderKeyDistributionMessage', 'fastRatchetKeySenderKeyDistributionMessage',
  'messageContextInfo', 'keepInChatMessage', 'pinInChatMessage', 'pollUpdateMessage', 'encReactionMessage',
  'encCommentMessage', 'encEventResponseMessage', 'secretEncryptedMessage', 'stickerSyncRmrMessage', 'call', 'chat',
  'messageHistoryBundle', 'messageHistoryNotice', 'albumMessage', 'callLogMesssage', 'statusNotificationMessage',
  'statusStickerInteractionMessage']);

/** Of these, what people do and expect to be noticed: only a device with the message's own secret can read it. */
const SEALED = { pollUpdateMessage: 'a vote in a poll', encReactionMessage: 'a reaction', encCommentMessage: 'a comment',
  encEventResponseMessage: 'an answer to an event', secretEncryptedMessage: 'a change of a message or an event' };

/** Files, by what they are called in the protocol. */
export const MEDIA = { imageMessage: 'image', videoMessage: 'video', ptvMessage: 'video', audioMessage: 'audio',
  documentMessage: 'document', stickerMessage: 'sticker' };

export const text = (value, limit = TEXT) => (typeof value === 'string' ? value.slice(0, limit).toWellFormed() : '');
export const orNull = (value, limit = SHORT) => text(value, limit) || null;
const short = value => text(value, SHORT);

/** A text that people wrote, and how many bytes it had when that is only its beginning. */
const written = value => {
  const cut = typeof value === 'string' && value.length > TEXT;
  return { text: text(value), ...(cut && { cut_from: Buffer.byteLength(value) }) };
};

/** Numbers arrive as numbers, strings or Long objects. */
export function number(value) {
  const result = typeof value === 'object' && value !== null ? Number(value.toString()) : Number(value ?? NaN);
  return Number.isFinite(result) ? result : null;
}

const listed = value => (Array.isArray(value) ? value.slice(0, PARTS) : []);
const lines = (...parts) => parts.flat().filter(Boolean).join('\n');
const said = (...parts) => ({ kind: 'text', ...written(lines(...parts)) });
const named = (what, name) => (name ? `[${what} ${name}]` : `[${what}]`);
const options = (label, names) => {
  const shown = names.map(short).filter(Boolean);
  return shown.length ? `[${label}: ${shown.join(' / ')}]` : '';
};

function json(value) {
  try {
    return JSON.parse(text(value, 16_000)) ?? {};
  } catch {
    return {};
  }
}

/** An amount in thousandths of a currency. */
function price(thousandths, currency) {
  const amount = number(thousandths);
  return amount ? `${(amount / 1000).toFixed(2)} ${text(currency, 10)}`.trim() : '';
}

/** A time in seconds or milliseconds since 1970. */
function moment(value) {
  const at = number(value);
  if (!at) return '';
  const date = new Date(at > 100_000_000_000 ? at : at * 1000);
  return Number.isNaN(date.getTime()) ? '' : `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

function media(kind, content) {
  return {
    kind: kind === 'audio' && content.ptt ? 'voice' : kind,
    ...written(content.caption),
    media: {
      mime: orNull(content.mimetype, 200),
      bytes: number(content.fileLength),
      file_name: orNull(content.fileName ?? content.title, 255),
      seconds: number(content.seconds),
    },
  };
}

/** A text with the file that stands above it in the chat, if there is one. */
function illustrated(parent, ...parts) {
  const field = Object.keys(MEDIA).find(name => parent?.[name]);
  const place = parent?.locationMessage;
  if (!field) return said(place ? inBrackets(location(place, false)) : '', ...parts);
  return { ...media(MEDIA[field], parent[field]), ...said(parent[field].caption, ...parts), kind: MEDIA[field] };
}

function location(content, live) {
  return {
    kind: 'location',
    text: text(content.caption ?? content.comment),
    location: {
      latitude: number(content.degreesLatitude),
      longitude: number(content.degreesLongitude),
      name: orNull(content.name),
      address: orNull(content.address),
      live,
    },
  };
}

const card = entry => ({ name: short(entry.displayName), vcard: text(entry.vcard, VCARD) });

function poll(content) {
  const parts = [short(content.name), ...listed(content.options).map(({ optionName }) => short(optionName))];
  const more = (content.options?.length ?? 0) - PARTS;
  return said(named('poll', [...parts, more > 0 ? `and ${more} more` : ''].filter(Boolean).join(' / ')));
}

function pollResult(content) {
  const votes = listed(content.pollVotes).map(vote => `${short(vote.optionName)} ${number(vote.optionVoteCount) ?? 0}`);
  return said(named('poll result', [short(content.name), ...votes].join(' / ')));
}

function appointment(content) {
  const { location: place } = content;
  const parts = [short(content.name), moment(content.startTime), short(place?.name), short(place?.address)];
  return said(named(content.isCanceled ? 'cancelled event' : 'event', parts.filter(Boolean).join(', ')), content.description,
    content.joinLink);
}

function product(content) {
  const { product: item, catalog } = content;
  const shown = item ?? catalog;
  const parts = [short(shown?.title), price(item?.priceAmount1000, item?.currencyCode)];
  return illustrated({ imageMessage: item?.productImage ?? catalog?.catalogImage },
    named(item ? 'product' : 'catalog', parts.filter(Boolean).join(', ')), shown?.description, item?.url, content.body,
    content.footer);
}

function order(content) {
  const count = number(content.itemCount);
  const parts = [short(content.orderTitle), count ? `${count} item${count === 1 ? '' : 's'}` : '',
    price(content.totalAmount1000, content.totalCurrencyCode)];
  return said(named('order', parts.filter(Boolean).join(', ')), content.message);
}

/** The note beside a payment is a message by itself. */
const note = message => text(message?.conversation ?? message?.extendedTextMessage?.text);

/** Old templates name their text, and only WhatsApp has it; what is filled in stands here. */
function structured(content) {
  if (content?.hydratedHsm) return template(content.hydratedHsm);
  const filled = [...listed(content?.params), ...listed(content?.localizableParams).map(param => param.default)];
  const name = short(content?.elementName);
  return said(name || filled.length ? named('template', [name, ...filled.map(short)].filter(Boolean).join(', ')) : '');
}

/** A button's label, and where it leads when that is not shown. */
const leading = (label, target) => (target && target !== label ? `${short(label)} (${short(target)})` : label);

function hydratedButton({ quickReplyButton: reply, urlButton: url, callButton: call }) {
  return reply?.displayText ?? leading(url?.displayText ?? call?.displayText, url?.url ?? call?.phoneNumber);
}

function template(content) {
  const hydrated = content.hydratedTemplate ?? content.hydratedFourRowTemplate;
  if (hydrated) {
    return illustrated(hydrated, hydrated.hydratedTitleText, hydrated.hydratedContentText, hydrated.hydratedFooterText,
      options('buttons', listed(hydrated.hydratedButtons).map(hydratedButton)));
  }
  if (content.interactiveMessageTemplate) return interactive(content.interactiveMessageTemplate);
  const rows = content.fourRowTemplate;
  const parts = [rows?.highlyStructuredMessage, rows?.content, rows?.footer].filter(Boolean).map(part => structured(part).text);
  return illustrated(rows, ...parts, parts.length ? '' : named('template', short(content.templateId)));
}

function interactive(content, depth = 0) {
  const { header, body, footer, nativeFlowMessage, carouselMessage, collectionMessage, shopStorefrontMessage } = content;
  const buttons = listed(nativeFlowMessage?.buttons).map(({ name, buttonParamsJson }) => {
    const { display_text: label, title, url, phone_number: phone, copy_code: code } = json(buttonParamsJson);
    return leading(text(label ?? title, SHORT) || short(name), url ?? phone ?? code);
  });
  const cards = depth ? [] : listed(carouselMessage?.cards).map(each => interactive(each, 1).text);
  const shown = illustrated(header?.productMessage ? { imageMessage: header.productMessage.product?.productImage } : header,
    header?.title, header?.subtitle, header?.productMessage && product(header.productMessage).text, body?.text, footer?.text,
    options('buttons', buttons), cards);
  if (shown.text || shown.media) return shown;
  return said(collectionMessage || shopStorefrontMessage ? '[a catalog]' : '[a message with buttons]');
}

function list(content) {
  const rows = listed(content.sections).flatMap(section => [short(section.title), ...listed(section.rows).map(row =>
    `- ${[short(row.title), short(row.description)].filter(Boolean).join(': ')}`)]);
  const products = content.productListInfo && '[a list of products]';
  return said(content.title, content.description, rows, products, content.footerText, options('button', [content.buttonText]));
}

/** The answer to buttons or a form that a business made. */
function interactiveAnswer(content) {
  const flow = content.nativeFlowResponseMessage;
  if (content.body?.text) return said(content.body.text);
  const { title, display_text: label, description, id } = json(flow?.paramsJson);
  const known = [title, label, description].filter(part => typeof part === 'string');
  return said(known.length ? known : text(id, SHORT) || short(flow?.paramsJson) || named('answer', short(flow?.name)));
}

const invitation = (what, name, content) => said(named(`invitation to the ${what}`, short(name)), content.caption);

/** What each field says that is neither a wrapper nor silent. */
export const KINDS = {
  conversation: content => ({ kind: 'text', ...written(content) }),
  extendedTextMessage: content => ({ kind: 'text', ...written(content.text) }),
  ...Object.fromEntries(Object.entries(MEDIA).map(([field, kind]) => [field, content => media(kind, content)])),
  locationMessage: content => location(content, content.isLive === true),
  liveLocationMessage: content => location(content, true),
  contactMessage: content => ({ kind: 'contact', text: short(content.displayName), contacts: [card(content)] }),
  contactsArrayMessage: content => ({ kind: 'contact', text: short(content.displayName),
    contacts: (content.contacts ?? []).slice(0, CONTACTS).map(card) }),
  reactionMessage: content => ({ kind: 'reaction', text: '',
    reaction: { id: short(content.key?.id), emoji: text(content.text, 64) } }),
  protocolMessage: correction,
  highlyStructuredMessage: content => orSaid(structured(content), '[a template]'),
  templateMessage: content => orSaid(template(content), '[a template]'),
  buttonsMessage: content => illustrated(content, content.text, content.contentText, content.footerText,
    options('buttons', listed(content.buttons).map(button => button.buttonText?.displayText))),
  listMessage: list,
  interactiveMessage: content => interactive(content),
  buttonsResponseMessage: content => said(content.selectedDisplayText || content.selectedButtonId),
  templateButtonReplyMessage: content => said(content.selectedDisplayText || content.selectedId),
  listResponseMessage: content => said(content.title || content.description || content.singleSelectReply?.selectedRowId),
  interactiveResponseMessage: interactiveAnswer,
  pollCreationMessage: poll,
  pollCreationMessageV2: poll,
  pollCreationMessageV3: poll,
  pollCreationMessageV5: poll,
  pollResultSnapshotMessage: pollResult,
  pollResultSnapshotMessageV3: pollResult,
  eventMessage: appointment,
  productMessage: product,
  orderMessage: order,
  invoiceMessage: content => said('[invoice]', content.note),
  groupInviteMessage: content => invitation('group', content.groupName, content),
  newsletterAdminInviteMessage: content => invitation('channel', content.newsletterName, content),
  newsletterFollowerInviteMessageV2: content => invitation('channel', content.newsletterName, content),
  paymentInviteMessage: () => said('[invitation to payments]'),
  sendPaymentMessage: content => said('[payment]', note(content.noteMessage)),
  requestPaymentMessage: content => said(named('payment request',
    price(content.amount1000, content.currencyCodeIso4217)), note(content.noteMessage)),
  declinePaymentRequestMessage: () => said('[payment request declined]'),
  cancelPaymentRequestMessage: () => said('[payment request cancelled]'),
  scheduledCallCreationMessage: content => said(named('planned call',
    [short(content.title), moment(content.scheduledTimestampMs)].filter(Boolean).join(', '))),
  scheduledCallEditMessage: () => said('[planned call cancelled]'),
  bcallMessage: content => said('[call]', content.caption),
  stickerPackMessage: content => said(named('sticker pack', short(content.name)), content.caption),
  requestPhoneNumberMessage: () => said('[asks for your phone number]'),
  placeholderMessage: () => said(PHONE_ONLY),
  richResponseMessage: content => orSaid(said(listed(content.submessages).map(part => part.messageText)), '[an answer of an AI]'),
  statusQuestionAnswerMessage: content => said(content.text),
  questionResponseMessage: content => said(content.text),
  statusQuotedMessage: content => said(content.text),
};

const orSaid = (body, otherwise) => (body.text || body.media ? body : said(otherwise));

/** What WhatsApp gives to the phone and to no linked device. */
export const PHONE_ONLY = '[a message that opens only on the phone]';
export const VIEW_ONCE = '[a view-once message, which opens only on the phone]';

/** The types of `ProtocolMessage` that say something: a correction of an earlier message. */
export const CORRECTION = 14;

/** What an earlier message says now, or null: everything else in a `ProtocolMessage` is between devices, or deletes. */
function corrected(content) {
  if (content.type !== CORRECTION) return null;
  const { protocolMessage, ...message } = unwrap(content.editedMessage);
  return contentOf(message);
}

function correction(content) {
  const found = corrected(content);
  const { media: file, ...body } = bodyOf(found);
  // The file stays what it was; only one that comes along can be fetched.
  if (file && found.content.mediaKey?.length) return { ...body, media: file };
  return { ...body, ...(file && { kind: 'text' }) };
}

/** What a message is whose content only some devices can read, for the log; or null. */
export function sealedIn(message) {
  const inner = unwrap(message);
  const name = Object.keys(SEALED).find(field => inner[field]);
  return name ? SEALED[name] : null;
}

/** Takes off the wrappers. */
export function unwrap(message) {
  let inner = message;
  for (let depth = 0; depth < DEPTH && inner; depth += 1) {
    const wrapper = Object.keys(inner).find(name => WRAPPERS.has(name) && inner[name]?.message);
    if (!wrapper) break;
    inner = inner[wrapper].message;
  }
  return inner ?? {};
}

/** The name and content of the part that matters, or null when there is nothing for a reader. */
export function contentOf(message) {
  for (const [name, content] of Object.entries(message)) {
    if (content === null || content === undefined || SILENT.has(name) || WRAPPERS.has(name)) continue;
    if (name === 'protocolMessage' && !corrected(content)) continue;
    return { name, content };
  }
  return null;
}

/** Kind, text and what belongs to the kind. A field of a later protocol is `unsupported` rather than nothing. */
export function bodyOf({ name, content }) {
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : null;
  return kind ? kind(content) : { kind: 'unsupported', text: '' };
}

/** The message that a correction brings, or the content itself: what it answers and mentions stands there. */
export function innermost({ name, content }) {
  return name === 'protocolMessage' ? corrected(content) ?? { name, content } : { name, content };
}

/** The parts below a field that may hold the file shown with its text. */
const parents = ({ name, content }) => [{ [name]: content }, content, content?.header, content?.hydratedTemplate,
  content?.hydratedFourRowTemplate, content?.fourRowTemplate, content?.interactiveMessageTemplate?.header,
  { imageMessage: content?.product?.productImage ?? content?.catalog?.catalogImage
    ?? content?.header?.productMessage?.product?.productImage }];

/** The media part of a message: its field, the key WhatsApp derives for its kind, and its content; or null. */
export function mediaPart(message) {
  const found = contentOf(unwrap(message));
  if (!found) return null;
  for (const parent of parents(innermost(found))) {
    const field = parent && typeof parent === 'object' && Object.keys(MEDIA).find(name => parent[name]);
    if (field) return { field, kind: MEDIA[field], content: parent[field] };
  }
  return null;
}

/** In brackets, for a quote: what it is, when it is more than its text. */
export function inBrackets({ kind, text: caption, media: file, location: place, contacts, reaction }) {
  if (file) return lines(named(kind, short(file.file_name)), caption);
  if (place) return `[location ${[`${place.latitude},${place.longitude}`, place.name, place.address].filter(Boolean).join(', ')}]`;
  if (contacts) return contacts.map(({ name }) => named('contact', name)).join('\n');
  if (reaction) return named('reacted with', reaction.emoji);
  return kind === 'unsupported' ? '[a message of an unsupported kind]' : caption;
}
