"""How clients speak: the formats that providers' SDKs send and expect, both ways. No I/O, and nothing of the SDKs.

    format                       what every format can do; what a client has asked
    anthropic_in, anthropic_out  Messages, token count, models
    chat_in, chat_out            OpenAI Chat Completions
    responses_in, responses_out  OpenAI Responses
    endpoint                     from a method, a path, headers and a body to an answer in the same words

What a format says and a `Request` has no place for is kept under the format's own name (`options`, `extra`, `Opaque`)
where the provider of that name may yet be asked; what cannot be carried at all is refused by name, or reported in
`Asked.not_carried`; nothing is dropped in silence.
"""
