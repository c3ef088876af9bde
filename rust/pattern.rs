//! temporary
use crate::ids::PatternId;
use regex_automata::meta::Regex;
/// f
#[derive(Clone, Copy, Debug, Default)]
pub struct PatternFlags { /// i
pub ignore_case: bool, /// m
pub multi_line: bool, /// s
pub dot_all: bool, /// x
pub verbose: bool, /// a
pub ascii: bool }
/// e
#[derive(Clone, Debug)]
pub struct PatternError { /// i
pub index: usize, /// p
pub pattern: String, /// o
pub position: Option<usize>, /// r
pub reason: String }
impl std::fmt::Display for PatternError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "pattern {}: {}", self.index, self.reason) } }
/// s
#[derive(Debug, Default)]
pub struct PatternSet { all: Vec<(String, Regex)> }
impl PatternSet {
/// n
pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item=(S, PatternFlags)>) -> Result<Self, PatternError> {
 let mut all=vec![]; for (index,(s,_)) in patterns.into_iter().enumerate() { all.push((s.as_ref().to_owned(), Regex::new(s.as_ref()).map_err(|e| PatternError{index,pattern:s.as_ref().to_owned(),position:None,reason:e.to_string()})?)); } Ok(Self{all}) }
/// l
pub fn len(&self)->usize{self.all.len()}
/// e
pub fn is_empty(&self)->bool{self.all.is_empty()}
/// f
pub fn first_where(&self, text:&str, mut accept: impl FnMut(PatternId)->bool)->Option<PatternId>{ (0..self.all.len() as u32).map(PatternId).find(|i| accept(*i) && self.all[i.index()].1.is_match(text)) }
/// f
pub fn first(&self, text:&str)->Option<PatternId>{ self.first_where(text,|_|true) }
/// a
pub fn all(&self, text:&str)->Vec<PatternId>{ (0..self.all.len() as u32).map(PatternId).filter(|i| self.all[i.index()].1.is_match(text)).collect() }
/// p
pub fn pattern(&self, id: PatternId)->&str{&self.all[id.index()].0}
/// g
pub fn group_names(&self, id: PatternId)->impl Iterator<Item=(usize,&str)>{ self.all[id.index()].1.group_info().pattern_names(regex_automata::PatternID::ZERO).enumerate().filter_map(|(i,n)| n.map(|n|(i,n))) }
/// c
pub fn captures(&self, id: PatternId, text:&str, spans:&mut Vec<Option<(u32,u32)>>)->bool{ let re=&self.all[id.index()].1; let mut c=re.create_captures(); re.captures(text,&mut c); spans.clear(); if !c.is_match(){return false;} for (i,_) in self.group_names(id){ spans.push(c.get_group(i).map(|s|(s.start as u32,s.end as u32))); } true }
/// m
pub fn memory(&self)->usize{0}
/// v
pub fn validate(&self){}
}
